"""OpenVINO on the CPU.

Each stream has one request and two sets of state buffers of its own that swap roles: before a step they are set as the
request's tensors, so that the state never moves and is never read and written in one place. OpenVINO's own way to keep
a state (ReadValue and Assign) is no faster, and in bf16 it rounds the state, which the contract wants in float32.

In bf16 OpenVINO rounds the convolutions; what stands behind the last of them, the blend and the map, it leaves in
float32. It would take bf16 without being asked, so every artifact asks for what it means.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np

from sal_runtime.arrays import AnyArray, Floats, Pixels
from sal_runtime.backends import Options
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.backends.pair import host_pair
from sal_runtime.console import needs_extra
from sal_runtime.errors import ArtifactError, InputError, failing_as
from sal_runtime.folders import cache_folder
from sal_runtime.manifest import Manifest, Signature

with needs_extra("openvino"):
    # Untyped on purpose: the package ships no py.typed.
    openvino: Any = importlib.import_module("openvino")


class OpenVinoBackend:
    """An artifact opened in OpenVINO."""

    def __init__(self, path: Path, options: Options) -> None:
        if options.device != "cpu":
            raise InputError(f"the openvino backend runs on the cpu, not on {options.device!r}")
        self.manifest = read_manifest(path)
        self._path, self._core = path, openvino.Core()
        computes = "bf16" if options.precision == "bf16" else "f32"
        if computes == "bf16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise InputError("this processor has no bf16 arithmetic; leave out --precision bf16")
        self._settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": computes,
            "PERFORMANCE_HINT": options.hint.upper(),
        }
        if options.threads is not None:
            self._settings["INFERENCE_NUM_THREADS"] = options.threads
        # OpenVINO names the files by model, settings and version, and replaces those that are damaged.
        cache = cache_folder("openvino")
        if cache is not None:
            self._settings["CACHE_DIR"] = str(cache)
        try:
            model = self._core.read_model(str(path))
        except RuntimeError as exc:
            raise ArtifactError(f"{path}: OpenVINO cannot open it ({_last_line(exc)}); is it whole?") from exc
        inputs, outputs = _signatures(model.inputs, self.manifest), _signatures(model.outputs, self.manifest)
        self.manifest.agree(inputs, outputs, str(path))
        self._compiled: dict[int, Any] = {}
        if self.manifest.batch is not None:
            self._compiled[self.manifest.batch] = self._compile(model)
        self.note = ""
        self.name = f"openvino {openvino.__version__.split('-')[0]} cpu" + (" bf16" if computes == "bf16" else "")

    def stream(self, batch: int) -> OpenVinoStream:
        """A fresh stream of ``batch`` slots, its states zero. An open batch is compiled once for each size used."""
        if batch not in self._compiled:
            model = self._core.read_model(str(self._path))
            specs = (self.manifest.frame, self.manifest.carry, *(s.input for s in self.manifest.states))
            model.reshape({spec.name: list(spec.sized(batch)) for spec in specs})
            self._compiled[batch] = self._compile(model)
        return OpenVinoStream(self._compiled[batch].create_infer_request(), self.manifest, batch)

    def close(self) -> None:
        """Release the engine."""
        self._compiled.clear()

    def _compile(self, model: Any) -> Any:
        with _failing(f"openvino cannot run {self._path}"):
            return self._core.compile_model(model, "CPU", self._settings)


class OpenVinoStream:
    """One request; two sets of state buffers that swap roles at every step."""

    def __init__(self, request: Any, manifest: Manifest, batch: int) -> None:
        self._request, self._manifest = request, manifest
        self._frame, self._carry = manifest.frame.zeros(batch), manifest.carry.zeros(batch)
        self._saliency = manifest.saliency.zeros(batch)
        self._states = host_pair(manifest, batch)
        self._tensors = tuple([_shared(state) for state in side] for side in self._states.sides)
        specs = (manifest.frame, manifest.carry, manifest.saliency)
        for spec, array in zip(specs, (self._frame, self._carry, self._saliency), strict=True):
            request.set_tensor(spec.name, _shared(array))

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame; see :class:`sal_runtime.backends.Stream`."""
        np.copyto(self._frame, frame)
        np.copyto(self._carry, carry)
        turn = self._states.turn
        before, after = self._tensors[turn], self._tensors[1 - turn]
        with _failing("openvino failed in a step"):
            for state, old, new in zip(self._manifest.states, before, after, strict=True):
                self._request.set_tensor(state.input.name, old)
                self._request.set_tensor(state.output.name, new)
            self._request.infer()
        self._states.swap()
        return self._saliency

    def snapshot(self) -> list[Floats]:
        """Copies of the state that the next step will read."""
        return self._states.snapshot()

    def restore(self, states: Sequence[Floats]) -> None:
        """Overwrite the state that the next step will read."""
        self._states.restore(states)

    def close(self) -> None:
        """Release the request and with it what it computes in."""
        self._request = None


def open_artifact(path: Path, options: Options) -> OpenVinoBackend:
    """Open ``path`` in OpenVINO."""
    return OpenVinoBackend(path, options)


def _shared(array: AnyArray) -> Any:
    """A tensor over the array's own memory."""
    return openvino.Tensor(array, shared_memory=True)


def _signatures(ports: Sequence[Any], manifest: Manifest) -> dict[str, Signature]:
    """Name to type and shape; a free dimension becomes -1. Of a tensor's several names the manifest's is taken."""
    known = {manifest.saliency.name, *(state.output.name for state in manifest.states)}
    found: dict[str, Signature] = {}
    for port in ports:
        names = sorted(port.get_names(), key=lambda name: name not in known)
        shape = tuple(-1 if n.is_dynamic else n.get_length() for n in port.get_partial_shape())
        found[names[0]] = (np.dtype(port.get_element_type().to_dtype()).name, shape)
    return found


def _failing(what: str) -> AbstractContextManager[None]:
    """Within the block OpenVINO's exception becomes ours; see :func:`sal_runtime.errors.failing_as`."""
    return failing_as(what, _last_line, RuntimeError)


def _last_line(exc: BaseException) -> str:
    """The last line of a vendor's message: those above it tell OpenVINO's own source lines."""
    lines = [line for line in str(exc).splitlines() if line.strip()]
    return lines[-1].strip()[:200] if lines else type(exc).__name__
