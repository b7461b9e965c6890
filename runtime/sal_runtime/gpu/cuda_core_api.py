"""A queue by ``cuda.core``, NVIDIA's own Python for CUDA: the default, with CUDA graphs."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.metadata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sal_runtime.arrays import AnyArray
from sal_runtime.errors import BackendError, MissingDependency
from sal_runtime.gpu import Gpu, Memory, cuda_errors, opening

try:
    # Untyped on purpose: the annotations of its compiled modules differ from release to release.
    core: Any = importlib.import_module("cuda.core")
    driver: Any = importlib.import_module("cuda.bindings.driver")
except ModuleNotFoundError as exc:
    raise MissingDependency(
        f"{exc.name} is not installed: pip install 'cuda-core[cu13]', or cuda-core[cu12] where CUDA is 12"
    ) from exc


_FAILED = "the GPU failed"


@dataclass(frozen=True)
class CoreMemory:
    """Memory of the device."""

    buffer: Any
    """``cuda.core.Buffer``."""
    nbytes: int

    @property
    def address(self) -> int:
        """Where it begins."""
        return int(self.buffer.handle)


class CudaCoreQueue:
    """See :class:`sal_runtime.gpu.Queue`."""

    api = f"cuda.core {importlib.metadata.version('cuda-core')}"
    has_graphs = True

    def __init__(self, index: int) -> None:
        with opening():
            self._device = core.Device(index)
            self._device.set_current()
            major, minor = self._device.compute_capability
            self.gpu = Gpu(self._device.name, f"{major}.{minor}", _driver_version())
            self._stream = self._device.create_stream(options=core.StreamOptions(nonblocking=True))
        self._on: Any = self._stream
        self._pinning = core.LegacyPinnedMemoryResource()
        self._buffers: list[Any] = []
        self._views: dict[int, Any] = {}
        self._graphs: list[Any] = []

    @property
    def handle(self) -> int:
        """The stream's address."""
        return int((self._on.stream if self._on is not self._stream else self._stream).handle)

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        """The primary context, which stays current afterwards, as PyTorch and ONNX Runtime leave it too."""
        self._device.set_current()
        yield

    def allocate(self, nbytes: int) -> CoreMemory:
        """From the device's own pool, or where it has none (some Jetsons) by a plain allocation."""
        with cuda_errors(f"the GPU has no {nbytes / 1e6:.1f} MB for this stream"):
            buffer = self._device.allocate(nbytes, stream=self._stream)
            self._buffers.append(buffer)
            memory = CoreMemory(buffer, nbytes)
            self.clear(memory)
        return memory

    def pinned(self, shape: Sequence[int], dtype: str) -> AnyArray:
        """Over memory that lives as long as the queue."""
        kind = np.dtype(dtype)
        nbytes = max(1, int(np.prod(shape))) * kind.itemsize
        with cuda_errors(f"no {nbytes / 1e6:.1f} MB of page-locked memory are left"):
            buffer = self._pinning.allocate(nbytes)
        self._buffers.append(buffer)
        held = (ctypes.c_ubyte * nbytes).from_address(int(buffer.handle))
        array: AnyArray = np.frombuffer(memoryview(held), dtype=kind).reshape(tuple(shape))
        array[...] = 0
        self._views[array.ctypes.data] = buffer
        return array

    def upload(self, memory: Memory, array: AnyArray) -> None:
        """A copy by the stream where the array is page-locked, else one that waits."""
        assert isinstance(memory, CoreMemory)
        with cuda_errors(_FAILED):
            memory.buffer.copy_from(self._view(array), stream=self._on)

    def download(self, array: AnyArray, memory: Memory) -> None:
        """Likewise."""
        assert isinstance(memory, CoreMemory)
        with cuda_errors(_FAILED):
            memory.buffer.copy_to(self._view(array), stream=self._on)

    def clear(self, memory: Memory) -> None:
        """By the stream."""
        assert isinstance(memory, CoreMemory)
        with cuda_errors(_FAILED):
            memory.buffer.fill(0, stream=self._on)

    def synchronize(self) -> None:
        """Errors of kernels show here."""
        with cuda_errors(_FAILED):
            self._stream.sync()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """By capturing the stream. What fails within is told, not what follows from it for the capture."""
        with cuda_errors("a CUDA graph cannot be captured"):
            builder = self._stream.create_graph_builder()
            self._on = builder
            try:
                builder.begin_building("thread_local")
                work()
                graph = builder.end_building().complete()
            finally:
                self._on = self._stream
                with contextlib.suppress(Exception):  # one that was spoilt may refuse, and has released the stream
                    builder.close()
        self._graphs.append(graph)
        stream = self._stream

        def launch() -> None:
            with cuda_errors(_FAILED):
                graph.launch(stream)

        return launch

    def close(self) -> None:
        """Memory is given back in the stream's order; twice does no harm."""
        if self._stream is None:
            return
        with cuda_errors(_FAILED):
            self._device.set_current()
            try:
                self._stream.sync()
            finally:
                for held in (*self._graphs, *self._buffers):
                    held.close()
                self._stream.close()
                self._graphs, self._buffers, self._views, self._stream = [], [], {}, None

    def _view(self, array: AnyArray) -> Any:
        """The array's memory as a buffer: its own where it is page-locked, else a view that is not owned."""
        if not array.flags.c_contiguous:
            raise BackendError("only a contiguous array can be copied to or from the GPU")
        own = self._views.get(array.ctypes.data)
        return own if own is not None else core.Buffer.from_handle(array.ctypes.data, array.nbytes, owner=array)


def _driver_version() -> str:
    """CUDA's version as the driver has it."""
    error, version = driver.cuDriverGetVersion()
    if int(error) != 0:
        raise BackendError(f"NVIDIA's driver does not tell its version (error {int(error)})")
    return f"{version // 1000}.{version % 1000 // 10}"


def open_queue(index: int) -> CudaCoreQueue:
    """A queue on GPU ``index``."""
    return CudaCoreQueue(index)
