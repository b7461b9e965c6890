"""A device queue that counts what is copied, so that "the state never leaves the device" is a number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

from sal_runtime.arrays import AnyArray
from sal_runtime.gpu import Memory, Queue


class CountingQueue:
    """Hands everything on to another queue; see :class:`sal_runtime.gpu.Queue`."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.api, self.has_graphs, self.gpu = queue.api, queue.has_graphs, queue.gpu
        self.up = self.down = self.allocations = 0
        """Bytes copied to and from the device, and pieces of memory asked for."""

    @property
    def handle(self) -> int:
        """Of the other."""
        return self._queue.handle

    def active(self) -> AbstractContextManager[None]:
        """Passed on."""
        return self._queue.active()

    def allocate(self, nbytes: int) -> Memory:
        """Counted."""
        self.allocations += 1
        return self._queue.allocate(nbytes)

    def pinned(self, shape: Sequence[int], dtype: str) -> AnyArray:
        """Counted."""
        self.allocations += 1
        return self._queue.pinned(shape, dtype)

    def upload(self, memory: Memory, array: AnyArray) -> None:
        """Counted."""
        self.up += array.nbytes
        self._queue.upload(memory, array)

    def download(self, array: AnyArray, memory: Memory) -> None:
        """Counted."""
        self.down += array.nbytes
        self._queue.download(array, memory)

    def clear(self, memory: Memory) -> None:
        """Passed on."""
        self._queue.clear(memory)

    def synchronize(self) -> None:
        """Passed on."""
        self._queue.synchronize()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """A replay counts what was recorded."""
        up, down = self.up, self.down
        launch = self._queue.record(work)
        up, down = self.up - up, self.down - down
        self.up, self.down = self.up - up, self.down - down

        def counted() -> None:
            self.up, self.down = self.up + up, self.down + down
            launch()

        return counted

    def close(self) -> None:
        """Passed on."""
        self._queue.close()
