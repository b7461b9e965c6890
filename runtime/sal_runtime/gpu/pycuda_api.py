"""A queue by ``pycuda``, for those who have it: all but CUDA graphs, which it does not know.

The primary context is retained, never one of its own (``pycuda.autoinit``), which would clash with torch and ONNX
Runtime in the same process.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sal_runtime.arrays import AnyArray
from sal_runtime.console import needs_extra
from sal_runtime.errors import BackendError
from sal_runtime.gpu import Gpu, Memory, cuda_errors, opening

with needs_extra("pycuda"):
    importlib.import_module("pycuda")
with opening():  # where the driver's library is absent, this module cannot be loaded
    # Untyped on purpose: the package ships no annotations.
    cuda: Any = importlib.import_module("pycuda.driver")


_FAILED = "the GPU failed"

_CONTEXTS: dict[int, Any] = {}
"""The primary context of each GPU in use; held to the end of the process, since memory must be freed within it."""


@dataclass(frozen=True)
class PycudaMemory:
    """Memory of the device."""

    allocation: Any
    """``pycuda.driver.DeviceAllocation``."""
    nbytes: int

    @property
    def address(self) -> int:
        """Where it begins."""
        return int(self.allocation)


class PycudaQueue:
    """See :class:`sal_runtime.gpu.Queue`."""

    api = f"pycuda {importlib.metadata.version('pycuda')}"
    has_graphs = False

    def __init__(self, index: int) -> None:
        with opening():
            cuda.init()
            device = cuda.Device(index)
            if index not in _CONTEXTS:
                _CONTEXTS[index] = device.retain_primary_context()
            self._context: Any = _CONTEXTS[index]
            version = cuda.get_driver_version()
            self.gpu = Gpu(
                device.name(),
                ".".join(map(str, device.compute_capability())),
                f"{version // 1000}.{version % 1000 // 10}",
            )
            with self.active():
                self._stream: Any = cuda.Stream()
        self._allocations: list[Any] = []
        """Of the device and of the host; each knows how to ``free`` itself."""

    @property
    def handle(self) -> int:
        """The stream's address."""
        return int(self._stream.handle)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """The primary context on top of pycuda's stack, which must be empty again when a thread ends."""
        self._context.push()
        try:
            yield
        finally:
            cuda.Context.pop()

    def allocate(self, nbytes: int) -> PycudaMemory:
        """A plain allocation."""
        with cuda_errors(f"the GPU has no {nbytes / 1e6:.1f} MB for this stream"):
            allocation = cuda.mem_alloc(nbytes)
            self._allocations.append(allocation)
            memory = PycudaMemory(allocation, nbytes)
            self.clear(memory)
        return memory

    def pinned(self, shape: Sequence[int], dtype: str) -> AnyArray:
        """The array owns its memory."""
        with cuda_errors("no page-locked memory is left"):
            array: AnyArray = cuda.pagelocked_zeros(tuple(shape), np.dtype(dtype))
        self._allocations.append(array.base)
        return array

    def upload(self, memory: Memory, array: AnyArray) -> None:
        """By the stream."""
        with cuda_errors(_FAILED):
            cuda.memcpy_htod_async(memory.address, array, self._stream)

    def download(self, array: AnyArray, memory: Memory) -> None:
        """By the stream."""
        with cuda_errors(_FAILED):
            cuda.memcpy_dtoh_async(array, memory.address, self._stream)

    def clear(self, memory: Memory) -> None:
        """By the stream."""
        with cuda_errors(_FAILED):
            cuda.memset_d8_async(memory.address, 0, memory.nbytes, self._stream)

    def synchronize(self) -> None:
        """Errors of kernels show here."""
        with cuda_errors(_FAILED):
            self._stream.synchronize()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Not known to pycuda.

        Raises:
            BackendError: always.
        """
        raise BackendError("pycuda has no CUDA graphs; --device-api cuda.core has them")

    def close(self) -> None:
        """Memory goes, also that of the host; twice does no harm."""
        if self._stream is None:
            return
        with cuda_errors(_FAILED), self.active():
            stream, allocations = self._stream, self._allocations
            self._stream, self._allocations = None, []
            try:
                stream.synchronize()
            finally:
                for allocation in allocations:
                    allocation.free()


def open_queue(index: int) -> PycudaQueue:
    """A queue on GPU ``index``."""
    return PycudaQueue(index)
