"""A stream in ONNX Runtime on a GPU: the state lies in device OrtValues that two prebuilt bindings swap.

With CUDA graphs each direction of the swap has a graph id of its own. The picture and ``carry`` are copied into device
values, since what is bound on the CPU is not refreshed when a graph is replayed (microsoft/onnxruntime 29782).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnxruntime

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.backends.ort_session import failing
from sal_runtime.backends.pair import StatePair
from sal_runtime.errors import InputError
from sal_runtime.manifest import Manifest, TensorSpec


class Buffers:
    """What a step needs on the device: the picture, carry and map, two sets of states, a binding for either direction.

    With CUDA graphs each direction has an id, under which ONNX Runtime records the first run.
    """

    def __init__(
        self, session: Any, manifest: Manifest, batch: int, where: tuple[str, int], graph_ids: tuple[int, int] | None
    ) -> None:
        self._session, self._manifest, self._batch, self._where = session, manifest, batch, where
        self._frame, self._carry, self._output = map(self._value, (manifest.frame, manifest.carry, manifest.saliency))
        first, second = ([self._value(state.input) for state in manifest.states] for _ in range(2))
        self.states: StatePair[Any] = StatePair(
            (first, second), lambda value: value.numpy(), lambda value, array: value.update_inplace(array)
        )
        self._bindings = [self._bind(manifest, first, second), self._bind(manifest, second, first)]
        self._runs = [_run_options(graph_ids and graph_ids[turn]) for turn in range(2)]
        if graph_ids is not None:
            # The first run under an id captures its graph and may run it several times (onnxruntime 32243): here, on
            # states that are wiped afterwards, and not in the user's first two frames.
            for turn in range(2):
                self._run(turn)
        self.clear()

    def clear(self) -> None:
        """Zero both sides of the state."""
        for side in self.states.sides:
            for value, state in zip(side, self._manifest.states, strict=True):
                value.update_inplace(state.input.zeros(self._batch))
        self.states.turn = 0

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame."""
        with failing("onnxruntime failed in a step"):
            self._frame.update_inplace(np.ascontiguousarray(frame))
            self._carry.update_inplace(np.ascontiguousarray(carry, np.float32))
        self._run(self.states.turn)
        self.states.swap()
        result: Floats = self._output.numpy()
        return result

    def _run(self, turn: int) -> None:
        with failing("onnxruntime failed in a step"):
            binding = self._bindings[turn]
            binding.synchronize_inputs()
            self._session.run_with_iobinding(binding, self._runs[turn])
            binding.synchronize_outputs()

    def _value(self, spec: TensorSpec) -> Any:
        """A zero tensor on the device."""
        with failing("the GPU has no memory left for this stream"):
            return onnxruntime.OrtValue.ortvalue_from_numpy(spec.zeros(self._batch), *self._where)

    def _bind(self, manifest: Manifest, before: list[Any], after: list[Any]) -> Any:
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(manifest.frame.name, self._frame)
        binding.bind_ortvalue_input(manifest.carry.name, self._carry)
        binding.bind_ortvalue_output(manifest.saliency.name, self._output)
        for state, old, new in zip(manifest.states, before, after, strict=True):
            binding.bind_ortvalue_input(state.input.name, old)
            binding.bind_ortvalue_output(state.output.name, new)
        return binding


class Pool:
    """Buffers for streams. With CUDA graphs those of a closed stream serve the next, since ONNX Runtime frees no graph.

    One thread at a time: ONNX Runtime records graphs, and copies, for one only.
    """

    def __init__(self, session: Any, manifest: Manifest, where: tuple[str, int], graphs: bool) -> None:
        self.lock = threading.Lock()
        self._session, self._manifest, self._where = session, manifest, where
        self._ids: Iterator[int] | None = itertools.count(1) if graphs else None
        self._free: dict[int, list[Buffers]] = {}

    def take(self, batch: int) -> Buffers:
        """Buffers with zero states."""
        with self.lock:
            if self._session is None:
                raise InputError("this engine has been closed; open the artifact again")
            free = self._free.get(batch)
            if free:
                buffers = free.pop()
                buffers.clear()
                return buffers
            ids = None if self._ids is None else (next(self._ids), next(self._ids))
            return Buffers(self._session, self._manifest, batch, self._where, ids)

    def give(self, batch: int, buffers: Buffers) -> None:
        """Take them back."""
        with self.lock:
            if self._ids is not None and self._session is not None:
                self._free.setdefault(batch, []).append(buffers)

    def close(self) -> None:
        """Let go of everything that no stream has."""
        with self.lock:
            self._session = None
            self._free.clear()


class OrtCudaStream:
    """A recurrence on buffers of the pool: the picture goes in, the map comes out, nothing else moves."""

    def __init__(self, pool: Pool, batch: int) -> None:
        self._pool, self._batch = pool, batch
        self._buffers: Buffers | None = pool.take(batch)

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame; see :class:`sal_runtime.backends.Stream`."""
        with self._pool.lock:
            return self._open().step(frame, carry)

    def snapshot(self) -> list[Floats]:
        """Copies of the state that the next step will read."""
        with self._pool.lock:
            return self._open().states.snapshot()

    def restore(self, states: Sequence[Floats]) -> None:
        """Overwrite the state that the next step will read."""
        with self._pool.lock:
            self._open().states.restore([np.ascontiguousarray(state, np.float32) for state in states])

    def close(self) -> None:
        """Give the buffers back; twice does no harm."""
        buffers, self._buffers = self._buffers, None
        if buffers is not None:
            self._pool.give(self._batch, buffers)

    def _open(self) -> Buffers:
        if self._buffers is None:
            raise InputError("this stream has been closed; start another")
        return self._buffers


def _run_options(graph_id: int | None) -> Any:
    run = onnxruntime.RunOptions()
    if graph_id is not None:
        run.add_run_config_entry("gpu_graph_id", str(graph_id))
    return run
