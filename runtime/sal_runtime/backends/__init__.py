"""The engines that can run an artifact, behind one small protocol.

A backend opens the file, owns the memory of every stream, and does one step. It has no opinion on time, cuts or
pictures: what is common to all of them is checked once above, in :mod:`sal_runtime.session`.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
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

    def stream(self, batch: int) -> Stream:
        """A fresh stream of ``batch`` slots, its states zero."""

    def close(self) -> None:
        """Release the engine; no stream may be used afterwards."""


@dataclass(frozen=True)
class Options:
    """What a user may ask of a backend."""

    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    threads: int | None = None
    """Threads of a CPU engine; None leaves it to the engine (all physical cores)."""
    precision: str = "auto"
    """``auto`` or ``f32``: as the artifact says; ``bf16``: its float convolutions in bf16, where engine and processor
    have it."""
    hint: str = "latency"
    """What OpenVINO is tuned for: ``latency`` of one stream, or ``throughput`` of several that step at once."""

    def __post_init__(self) -> None:
        for what, value, known in (("precision", self.precision, PRECISIONS), ("hint", self.hint, HINTS)):
            if value not in known:
                raise InputError(f"there is no {what} {value!r}; choose from {', '.join(known)}")


PRECISIONS = ("auto", "f32", "bf16")
HINTS = ("latency", "throughput")

BACKENDS = {"onnxruntime": "sal_runtime.backends.ort", "openvino": "sal_runtime.backends.openvino_backend"}
"""Name on the command line -> module with a ``open_artifact(path, options)``."""


def open_backend(path: Path, name: str = "auto", options: Options | None = None) -> Backend:
    """Open an artifact with the named backend; ``auto`` takes the one that :mod:`sal_runtime.backends.choice` picks.

    Raises:
        ArtifactError: the file is absent, damaged or not an artifact.
        BackendError: the engine refused it.
        InputError: there is no backend of that name.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: there is no such file; sal-export makes one")
    if name == "auto":
        from sal_runtime.backends.choice import choose  # it speaks of Options, above

        name = choose(path, options or Options()).backend
    if name not in BACKENDS:
        raise InputError(f"there is no backend {name!r}; choose from auto, {', '.join(BACKENDS)}")
    try:
        module = importlib.import_module(BACKENDS[name])
    except MissingDependency:
        raise
    except ImportError as exc:
        raise MissingDependency(
            f"the {name} backend cannot be loaded ({exc}): install its package again, and only one of onnxruntime and "
            "onnxruntime-gpu, which overwrite each other"
        ) from exc
    backend: Backend = module.open_artifact(path, options or Options())
    return backend
