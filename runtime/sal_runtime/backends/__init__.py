"""The engines that can run an artifact, behind one small protocol.

A backend opens the file, owns the memory of every stream, and does one step. It has no opinion on time, cuts or
pictures: what is common to all of them is checked once above, in :mod:`sal_runtime.session`.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.errors import ArtifactError, InputError, MissingDependency
from sal_runtime.manifest import Manifest


class Stream(Protocol):
    """One recurrence in progress: its own state beside the weights that all streams share."""

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame.

        Args:
            frame: uint8 [B, H, W, 3] of the artifact's own size.
            carry: float32 [B, 1].

        Returns:
            float32 [B, H, W]. The array belongs to the stream and is overwritten by the next step: copy to keep.
        """

    def snapshot(self) -> list[Floats]:
        """The state after the last step, in the manifest's order; the arrays are the caller's."""

    def restore(self, states: Sequence[Floats]) -> None:
        """Set the state from which the next step starts; the arrays are copied."""

    def close(self) -> None:
        """Release the stream's memory."""


class Backend(Protocol):
    """An opened artifact, to be shared by any number of streams."""

    manifest: Manifest
    name: str
    """What runs it, with version and device, for logs and reports."""
    note: str
    """What a user should know of how it was opened, such as an engine that was built; mostly empty."""

    def stream(self, batch: int) -> Stream:
        """A fresh stream of ``batch`` slots, its states zero."""

    def close(self) -> None:
        """Release the engine; no stream may be used afterwards."""


OnBuild = Callable[[str, int, int], None]
"""Takes a phase's name, the steps done and the steps in all."""


def silent(phase: str, done: int, total: int) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Options:
    """What a user may ask of a backend."""

    device: str = "cpu"
    """``cpu``, ``cuda`` (the first GPU) or ``cuda:N``."""
    threads: int | None = None
    """Threads of a CPU engine; None leaves it to the engine (all physical cores)."""
    precision: str = "auto"
    """``auto`` or ``f32``: as the artifact says; ``bf16``: its float convolutions in bf16, where engine and processor
    have it."""
    hint: str = "latency"
    """What OpenVINO is tuned for: ``latency`` of one stream, or ``throughput`` of several that step at once."""
    graphs: bool = True
    """Whether steps on a GPU are replayed as CUDA graphs where that is possible."""
    device_api: str = "cuda.core"
    """What TensorRT's memory and streams are handled with: one of :data:`sal_runtime.gpu.APIS`."""
    allow_cpu_fallback: bool = False
    """Whether ONNX Runtime may run on the CPU what was asked of a GPU."""
    workspace: int | None = None
    """MiB that an engine built on first use may take for its kernels; None: all."""
    on_build: OnBuild = silent
    """Told of the phases while an engine is built, which may take minutes."""

    def __post_init__(self) -> None:
        for what, value, known in (("precision", self.precision, PRECISIONS), ("hint", self.hint, HINTS)):
            if value not in known:
                raise InputError(f"there is no {what} {value!r}; choose from {', '.join(known)}")


PRECISIONS = ("auto", "f32", "bf16")
HINTS = ("latency", "throughput")

_FOLDER = "sal_runtime.backends"
BACKENDS = {
    "onnxruntime": f"{_FOLDER}.ort:open_artifact",
    "onnxruntime-tensorrt": f"{_FOLDER}.ort_cuda:open_tensorrt",
    "openvino": f"{_FOLDER}.openvino_backend:open_artifact",
    "tensorrt": f"{_FOLDER}.tensorrt_backend:open_artifact",
    "tensorrt-rtx": f"{_FOLDER}.tensorrt_backend:open_rtx",
}
"""Name on the command line -> module and function that opens an artifact, given its path and the options."""
_ON_GPU = {"onnxruntime": f"{_FOLDER}.ort_cuda:open_cuda"}
"""The same for another device than ``cpu``, where that is another module's matter."""


def open_backend(path: Path, name: str = "auto", options: Options | None = None) -> Backend:
    """Open an artifact with the named backend; ``auto`` takes the one that :mod:`sal_runtime.backends.choice` picks.

    Raises:
        ArtifactError: the file is absent, damaged or not an artifact.
        BackendError: the engine refused it.
        InputError: there is no backend of that name.
    """
    options = options or Options()
    if path.is_dir():
        raise ArtifactError(f"{path}: is a folder; a model is a file, .onnx or .engine")
    if not path.is_file():
        raise ArtifactError(f"{path}: there is no such file; sal-export makes one")
    if name == "auto":
        from sal_runtime.backends.choice import choose  # it speaks of Options, above

        name = choose(path, options).backend
    if name not in BACKENDS:
        raise InputError(f"there is no backend {name!r}; choose from auto, {', '.join(BACKENDS)}")
    opener = BACKENDS[name] if options.device == "cpu" else _ON_GPU.get(name, BACKENDS[name])
    module_name, _, function = opener.partition(":")
    try:
        module = importlib.import_module(module_name)
    except MissingDependency:
        raise
    except ImportError as exc:
        raise MissingDependency(
            f"the {name} backend cannot be loaded ({exc}): install its package again, and only one of onnxruntime and "
            "onnxruntime-gpu, which overwrite each other"
        ) from exc
    backend: Backend = getattr(module, function)(path, options)
    return backend
