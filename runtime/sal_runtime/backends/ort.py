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
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.backends.ort_session import failing, open_session, settings
from sal_runtime.backends.pair import host_pair
from sal_runtime.errors import InputError
from sal_runtime.manifest import Manifest


class OrtBackend:
    """An artifact opened in ONNX Runtime."""

    def __init__(self, path: Path, options: Options) -> None:
        if options.precision == "bf16":
            raise InputError("the onnxruntime backend has no bf16; --backend openvino has it")
        session = settings(read_manifest(path).precision)
        if options.threads is not None:
            session.intra_op_num_threads = options.threads
        self._session: Any
        self._session, self.manifest = open_session(path, session, ["CPUExecutionProvider"])
        self.name = f"onnxruntime {onnxruntime.__version__} cpu"
        self.note = ""

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
        with failing("onnxruntime failed in a step"):
            self._session.run_with_iobinding(self._bindings[self._states.turn])
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
