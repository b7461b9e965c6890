"""A stream in TensorRT, whose recurrent state never leaves the device.

Each stream owns a queue (a CUDA stream and its memory): two sets of state buffers that swap roles, since TensorRT
computes wrong results where a state is read and written in one place; page-locked host memory for the picture and the
map. A step uploads the picture and ``carry``, runs, and downloads the map: nothing else moves, nothing is allocated.

With CUDA graphs a whole step is recorded twice, once for each direction of the swap, and replayed. A slot restarts by
its own ``carry``, which is data, so that a recorded graph serves first frames as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.backends.pair import StatePair
from sal_runtime.errors import BackendError, InputError
from sal_runtime.gpu import Memory, Queue
from sal_runtime.manifest import Manifest, Shape


class Execution(Protocol):
    """What a stream needs of an engine: an execution context, in three words."""

    def bind(self, name: str, address: int) -> None:
        """Say where a tensor lies on the device, from the next :meth:`enqueue` on."""

    def enqueue(self, stream: int) -> None:
        """Put one inference on a CUDA stream.

        Raises:
            BackendError: the engine refused.
        """

    def unrecordable(self, stream: int) -> str:
        """Why :meth:`enqueue` cannot be recorded as a CUDA graph, as far as the engine knows; mostly empty."""

    def close(self) -> None:
        """Release the context and its memory."""


@dataclass(frozen=True)
class DeviceState:
    """One state's place on the device; float32."""

    memory: Memory
    shape: Shape


class TensorRtStream:
    """Buffers on the device, the engine's context, and the order in which a step uses them."""

    def __init__(
        self, queue: Queue, execution: Execution, manifest: Manifest, batch: int, *, graphs: bool = True
    ) -> None:
        """Allocate all that a step needs, and record its two graphs; ``queue`` and ``execution`` are closed with it.

        Args:
            queue: fresh, for this stream alone.
            execution: of the engine, for this stream alone.
            manifest: what is allocated.
            batch: slots.
            graphs: whether to record CUDA graphs where the queue has them.
        """
        self._queue, self._execution, self._manifest, self._batch = queue, execution, manifest, batch
        self._closed = False
        self._steps: list[Callable[[], None]] = [self._enqueue, self._enqueue]
        self.without_graphs = "" if graphs and queue.has_graphs else "not asked for" if not graphs else queue.api
        """Why steps are not replayed as CUDA graphs; empty where they are."""
        with queue.active():
            self._allocate()
            if not self.without_graphs:
                self._record()
            queue.synchronize()

    def _allocate(self) -> None:
        """Every buffer of a step, and the engine told of them."""
        queue, manifest, batch = self._queue, self._manifest, self._batch
        inputs = (manifest.frame, manifest.carry)
        self._frame, self._carry, self._saliency = (
            queue.pinned(spec.sized(batch), spec.dtype) for spec in (*inputs, manifest.saliency)
        )
        self._inputs = [queue.allocate(array.nbytes) for array in (self._frame, self._carry)]
        self._output = queue.allocate(self._saliency.nbytes)
        for spec, memory in zip((*inputs, manifest.saliency), (*self._inputs, self._output), strict=True):
            self._execution.bind(spec.name, memory.address)
        self._states: StatePair[DeviceState] = StatePair((self._side(), self._side()), self._read, self._write)

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame; see :class:`sal_runtime.backends.Stream`. After an error the state is as it was."""
        self._require_open()
        np.copyto(self._frame, frame)
        np.copyto(self._carry, carry)
        with self._queue.active():
            self._steps[self._states.turn]()
            self._queue.synchronize()
        self._states.swap()
        result: Floats = self._saliency
        return result

    def snapshot(self) -> list[Floats]:
        """Copies of the state that the next step will read."""
        self._require_open()
        with self._queue.active():
            return self._states.snapshot()

    def restore(self, states: Sequence[Floats]) -> None:
        """Overwrite the state that the next step will read."""
        self._require_open()
        with self._queue.active():
            self._states.restore(states)

    def close(self) -> None:
        """Release the context, then the memory it may still use; twice does no harm."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._queue.active():
                self._execution.close()
        finally:
            self._queue.close()

    def enqueue_engine(self) -> None:
        """The engine's part of a step, onto the queue and without waiting; by itself it serves measuring only.

        The queue must be active.
        """
        for state, before, after in zip(self._manifest.states, self._states.before, self._states.after, strict=True):
            self._execution.bind(state.input.name, before.memory.address)
            self._execution.bind(state.output.name, after.memory.address)
        self._execution.enqueue(self._queue.handle)

    def _enqueue(self) -> None:
        """One step onto the queue: everything between the host's picture and the host's map."""
        for memory, array in zip(self._inputs, (self._frame, self._carry), strict=True):
            self._queue.upload(memory, array)
        self.enqueue_engine()
        self._queue.download(self._saliency, self._output)

    def _record(self) -> None:
        """Two graphs, one for each direction. TensorRT wants a run before it is recorded; its traces are wiped."""
        self.without_graphs = self._execution.unrecordable(self._queue.handle)
        if self.without_graphs:
            return
        recorded = []
        for _ in range(2):
            self._enqueue()
            self._queue.synchronize()
            try:
                recorded.append(self._queue.record(self._enqueue))
            except BackendError as exc:  # an engine may hold work that cannot be captured: it runs all the same
                self.without_graphs = str(exc)
                break
            self._states.swap()
        else:
            self._steps = recorded
        self._states.turn = 0
        for state in (*self._states.before, *self._states.after):
            self._queue.clear(state.memory)

    def _require_open(self) -> None:
        """Page-locked memory that was released must not be written: the process would not survive it."""
        if self._closed:
            raise InputError("this stream has been closed; start another")

    def _side(self) -> list[DeviceState]:
        sizes = [state.input.sized(self._batch) for state in self._manifest.states]
        return [DeviceState(self._queue.allocate(4 * math.prod(shape)), shape) for shape in sizes]

    def _read(self, state: DeviceState) -> Floats:
        array: Floats = np.empty(state.shape, np.float32)
        self._queue.download(array, state.memory)
        self._queue.synchronize()
        return array

    def _write(self, state: DeviceState, array: Floats) -> None:
        whole = np.ascontiguousarray(array, np.float32)  # held until the copy is done
        self._queue.upload(state.memory, whole)
        self._queue.synchronize()
