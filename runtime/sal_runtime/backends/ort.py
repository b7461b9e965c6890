"""ONNX Runtime on the CPU.

Each stream has two bindings made once: the first reads state A and writes state B, the second the other way round. A
step copies the picture into a buffer and runs the binding whose turn it is; nothing is allocated, and a state is
never read and written in one place.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.backends import Options
from sal_runtime.backends.onnx_metadata import manifest_in
from sal_runtime.backends.pair import host_pair
from sal_runtime.errors import ArtifactError, BackendError, InputError
from sal_runtime.manifest import Manifest, Signature

_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64"}


class OrtBackend:
    """An artifact opened in ONNX Runtime."""

    def __init__(self, path: Path, options: Options) -> None:
        if options.device != "cpu":
            raise InputError(f"the onnxruntime backend runs on the cpu, not on {options.device!r}")
        if options.precision == "bf16":
            raise InputError("the onnxruntime backend has no bf16; --backend openvino has it")
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        if options.threads is not None:
            settings.intra_op_num_threads = options.threads
        try:
            self._session: Any = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
        except Exception as exc:  # the vendor's exceptions share no narrower base
            raise ArtifactError(f"{path}: ONNX Runtime cannot open it ({_first_line(exc)}); is it whole?") from exc
        self.manifest = manifest_in(self._session.get_modelmeta().custom_metadata_map, path)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        self.manifest.agree(_signatures(inputs), _signatures(outputs), str(path))
        self.name = f"onnxruntime {onnxruntime.__version__} cpu"

    def stream(self, batch: int) -> OrtStream:
        """A fresh stream of ``batch`` slots, its states zero."""
        if self._session is None:
            raise InputError("this engine has been closed; open the artifact again")
        return OrtStream(self._session, self.manifest, batch)

    def close(self) -> None:
        """Let go of the engine; the memory goes with its last stream."""
        self._session = None


class OrtStream:
    """Two sets of state buffers that swap roles at every step."""

    def __init__(self, session: Any, manifest: Manifest, batch: int) -> None:
        self._session = session
        self._frame, self._carry = manifest.frame.zeros(batch), manifest.carry.zeros(batch)
        self._saliency = manifest.saliency.zeros(batch)
        self._states = host_pair(manifest, batch)
        first, second = self._states.sides
        self._bindings = [self._bind(manifest, first, second), self._bind(manifest, second, first)]

    def _bind(self, manifest: Manifest, before: Sequence[Floats], after: Sequence[Floats]) -> Any:
        """A binding that reads ``before`` and writes ``after``; OrtValues on the CPU share NumPy's memory."""
        binding = self._session.io_binding()
        inputs = [(manifest.frame, self._frame), (manifest.carry, self._carry)]
        inputs += [(state.input, array) for state, array in zip(manifest.states, before, strict=True)]
        outputs = [(manifest.saliency, self._saliency)]
        outputs += [(state.output, array) for state, array in zip(manifest.states, after, strict=True)]
        for spec, array in inputs:
            binding.bind_ortvalue_input(spec.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        for spec, array in outputs:
            binding.bind_ortvalue_output(spec.name, onnxruntime.OrtValue.ortvalue_from_numpy(array))
        return binding

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame; see :class:`sal_runtime.backends.Stream`."""
        np.copyto(self._frame, frame)
        np.copyto(self._carry, carry)
        try:
            self._session.run_with_iobinding(self._bindings[self._states.turn])
        except Exception as exc:  # the vendor's exceptions share no narrower base
            raise BackendError(f"onnxruntime failed in a step: {_first_line(exc)}") from exc
        self._states.swap()
        return self._saliency

    def snapshot(self) -> list[Floats]:
        """Copies of the state that the next step will read."""
        return self._states.snapshot()

    def restore(self, states: Sequence[Floats]) -> None:
        """Overwrite the state that the next step will read."""
        self._states.restore(states)

    def close(self) -> None:
        """Release the bindings and with them the buffers."""
        self._bindings.clear()


def open_artifact(path: Path, options: Options) -> OrtBackend:
    """Open ``path`` in ONNX Runtime."""
    return OrtBackend(path, options)


def _signatures(tensors: Sequence[Any]) -> dict[str, Signature]:
    """Name to type and shape; a named (free) dimension becomes -1."""
    return {
        t.name: (_DTYPES.get(t.type, t.type), tuple(n if isinstance(n, int) else -1 for n in t.shape)) for t in tensors
    }


def _first_line(exc: Exception) -> str:
    """The first line of a vendor's message, without its prefix."""
    text = str(exc).strip().splitlines()[0] if str(exc).strip() else type(exc).__name__
    return text.split(" : ", 2)[-1][:200]
