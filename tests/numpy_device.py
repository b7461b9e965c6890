"""A device of NumPy arrays: what a GPU does with a queue and an engine, where it can be looked at.

Work is kept and done when it is waited for, not before, as a GPU may do it: a copy that is read too early, or a buffer
that is used again too soon, shows. The engine is ONNX Runtime on this memory, at the addresses that were bound when it
was enqueued.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from sal_runtime.arrays import AnyArray
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.errors import BackendError
from sal_runtime.gpu import Gpu, Memory
from sal_runtime.manifest import Manifest, TensorSpec


@dataclass(frozen=True)
class NumpyMemory:
    """Bytes at a made-up address."""

    address: int
    content: AnyArray = field(compare=False)

    @property
    def nbytes(self) -> int:
        return int(self.content.size)


class NumpyQueue:
    """See :class:`sal_runtime.gpu.Queue`."""

    api = "numpy"
    gpu = Gpu("NumPy", "0.0", "0.0")

    def __init__(self, graphs: bool = True, capturable: bool = True) -> None:
        self.has_graphs, self._capturable = graphs, capturable
        self.memory: dict[int, NumpyMemory] = {}
        self.allocations = 0
        """Memory asked for so far, on the device and page-locked."""
        self.done: list[str] = []
        """What was carried out, in order: ``up``, ``down``, ``clear``, ``run``."""
        self.moved = {"up": 0, "down": 0}
        """Bytes copied to and from the device."""
        self.launches = 0
        self.closed = False
        self._depth = 0
        self._waiting: list[Callable[[], None]] = []
        self._on = self._waiting

    @property
    def handle(self) -> int:
        return 1 if self._on is self._waiting else 2

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        assert not self.closed
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def allocate(self, nbytes: int) -> NumpyMemory:
        assert self._depth, "the context must be current"
        self.allocations += 1
        memory = NumpyMemory(256 * (1000 + 100 * self.allocations), np.full(nbytes, 0xA5, np.uint8))
        self.memory[memory.address] = memory
        self.clear(memory)
        return memory

    def pinned(self, shape: Sequence[int], dtype: str) -> AnyArray:
        assert self._depth, "the context must be current"
        self.allocations += 1
        return np.zeros(tuple(shape), dtype)

    def upload(self, memory: Memory, array: AnyArray) -> None:
        content = self.memory[memory.address].content

        def copy() -> None:
            content[:] = array.reshape(-1).view(np.uint8)
            self.moved["up"] += array.nbytes

        self.enqueue("up", copy)

    def download(self, array: AnyArray, memory: Memory) -> None:
        content = self.memory[memory.address].content

        def copy() -> None:
            array[...] = content.view(array.dtype).reshape(array.shape)
            self.moved["down"] += array.nbytes

        self.enqueue("down", copy)

    def clear(self, memory: Memory) -> None:
        self.enqueue("clear", lambda: self.memory[memory.address].content.fill(0))

    def enqueue(self, name: str, work: Callable[[], None]) -> None:
        """Keep a piece of work for later."""
        assert self._depth, "the context must be current"

        def told() -> None:
            work()
            self.done.append(name)

        self._on.append(told)

    def synchronize(self) -> None:
        assert self._depth, "the context must be current"
        self._finish()

    def _finish(self) -> None:
        while self._waiting:
            self._waiting.pop(0)()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        if not self._capturable:
            raise BackendError("a CUDA graph cannot be captured: this engine waits for the host")
        recorded: list[Callable[[], None]] = []
        self._on = recorded
        try:
            work()
        finally:
            self._on = self._waiting

        def launch() -> None:
            assert self._depth, "the context must be current"
            self.launches += 1
            self._waiting.extend(recorded)

        return launch

    def close(self) -> None:
        self._finish()
        self.memory.clear()
        self.closed = True


class OnnxOnNumpy:
    """An engine on that memory; see :class:`sal_runtime.backends.tensorrt_stream.Execution`."""

    def __init__(self, path: Path, queue: NumpyQueue, batch: int = 1) -> None:
        self.manifest: Manifest = read_manifest(path)
        self._session: Any = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self._queue, self._batch = queue, batch
        self.bound: dict[str, int] = {}
        self.fails = ""
        """``enqueue``: the next enqueue is refused; ``running``: the next run breaks off when it is waited for."""
        self.refuses_capture = ""
        """What it says when it is asked whether it can be recorded."""
        self.directions: list[tuple[int, int]] = []
        """For every run: where the first state was read and where it was written."""
        self.closed = False

    def bind(self, name: str, address: int) -> None:
        assert address in self._queue.memory, f"{name} is bound to memory that is not there"
        self.bound[name] = address

    def enqueue(self, stream: int) -> None:
        assert stream == self._queue.handle, "the engine's work goes onto its own stream"
        if self.fails == "enqueue":
            self.fails = ""
            raise BackendError("TensorRT failed in a step: the engine refused")
        bound = dict(self.bound)
        self._queue.enqueue("run", lambda: self._run(bound))

    def unrecordable(self, stream: int) -> str:
        return self.refuses_capture

    def close(self) -> None:
        assert not self._queue.closed, "the context goes before the memory that it uses"
        self.closed = True

    def _run(self, bound: dict[str, int]) -> None:
        if self.fails == "running":
            self.fails = ""
            raise BackendError("the GPU failed: an illegal address")
        manifest, states = self.manifest, self.manifest.states
        inputs = (manifest.frame, manifest.carry, *(s.input for s in states))
        outputs = (manifest.saliency, *(s.output for s in states))
        assert set(bound) == {spec.name for spec in (*inputs, *outputs)}
        assert not {bound[s.name] for s in inputs} & {bound[s.name] for s in outputs}, "input and output share memory"
        self.directions += [(bound[s.input.name], bound[s.output.name]) for s in states[:1]]
        given = {spec.name: self._view(spec, bound).copy() for spec in inputs}
        for spec, value in zip(outputs, self._session.run([s.name for s in outputs], given), strict=True):
            self._view(spec, bound)[...] = value

    def _view(self, spec: TensorSpec, bound: dict[str, int]) -> AnyArray:
        content = self._queue.memory[bound[spec.name]].content
        return content.view(spec.dtype).reshape(spec.sized(self._batch))
