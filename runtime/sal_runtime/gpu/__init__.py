"""The little of CUDA that a backend needs, behind a protocol of ten methods.

A :class:`Queue` is a stream of work on one GPU together with the memory that belongs to it. ``cuda.core`` is the usual
one; ``pycuda`` serves where a user has it, without CUDA graphs. The tests have one of NumPy arrays, which runs nothing
before it is waited for, as a GPU does.

All share the device's primary context with torch and ONNX Runtime in the same process.
"""

from __future__ import annotations

import contextlib
import importlib
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from sal_runtime.arrays import AnyArray
from sal_runtime.errors import BackendError, InputError, MissingDependency, NoGpu, SalError, failing_as, first_line


class Memory(Protocol):
    """A stretch of a device's memory."""

    @property
    def address(self) -> int:
        """Where it begins, a multiple of 256."""

    @property
    def nbytes(self) -> int:
        """How long it is."""


@dataclass(frozen=True)
class Gpu:
    """What an engine depends on."""

    name: str
    """Such as ``NVIDIA GeForce RTX 4070``."""
    capability: str
    """Compute capability, such as ``8.9``."""
    driver: str
    """The CUDA version that the driver speaks, such as ``13.0``."""


class Queue(Protocol):
    """Work on one GPU, done in the order in which it was given, beside the host; and the memory it works on.

    Everything is asynchronous until :meth:`synchronize`. What was allocated lives until :meth:`close`.
    """

    api: str
    """What is used, with its version."""
    has_graphs: bool
    """Whether :meth:`record` works."""
    gpu: Gpu

    @property
    def handle(self) -> int:
        """The ``CUstream``, for an engine that enqueues its own work; within :meth:`record` the recording one."""

    def active(self) -> AbstractContextManager[None]:
        """Within the block the device's context is that of the calling thread; all methods but `close` want it."""

    def allocate(self, nbytes: int) -> Memory:
        """Device memory, zeroed."""

    def pinned(self, shape: Sequence[int], dtype: str) -> AnyArray:
        """A zero array in page-locked memory of the host, which copies to and from the device need not stage."""

    def upload(self, memory: Memory, array: AnyArray) -> None:
        """Copy a whole array to the device."""

    def download(self, array: AnyArray, memory: Memory) -> None:
        """Copy from the device into a whole array."""

    def clear(self, memory: Memory) -> None:
        """Fill with zeros."""

    def synchronize(self) -> None:
        """Wait for all work so far."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record what ``work`` enqueues as a CUDA graph, without running it; the result enqueues all of it at once."""

    def close(self) -> None:
        """Wait for all work, then release graphs, memory and the queue."""


APIS = {"cuda.core": "sal_runtime.gpu.cuda_core_api", "pycuda": "sal_runtime.gpu.pycuda_api"}
"""Name on the command line -> module with an ``open_queue(index)``."""


def open_queue(index: int = 0, api: str = "cuda.core") -> Queue:
    """A queue of one's own on a GPU.

    Args:
        index: of the GPU, as CUDA counts them.
        api: one of :data:`APIS`.

    Raises:
        BackendError: there is no such GPU, or no driver.
        InputError: there is no API of that name.
        MissingDependency: its package is not installed.
    """
    if api not in APIS:
        raise InputError(f"there is no device API {api!r}; choose from {', '.join(APIS)}")
    try:
        module = importlib.import_module(APIS[api])
    except SalError:
        raise
    except ImportError as exc:
        raise MissingDependency(f"{api} cannot be loaded ({exc}): install its package again") from exc
    queue: Queue = module.open_queue(index)
    return queue


def device_index(device: str) -> int:
    """The GPU that ``cuda`` or ``cuda:N`` names.

    Raises:
        InputError: another text.
    """
    found = re.fullmatch(r"cuda(?::(\d+))?", device)
    if found is None:
        raise InputError(f"--device is cpu, cuda or cuda:N, not {device!r}")
    return int(found[1] or 0)


def cuda_errors(what: str) -> AbstractContextManager[None]:
    """Within the block the exception of a CUDA library becomes ours; see :func:`sal_runtime.errors.failing_as`."""
    return failing_as(what, lambda exc: first_line(exc)[:200])


_UNUSABLE = "no GPU can be used (NVIDIA's driver)"
_ABSENT = ("NVIDIA driver library", "libcuda.so", "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device")
"""What cuda.core, the loader and CUDA say of a driver or a device that is not there."""


@contextlib.contextmanager
def opening() -> Iterator[None]:
    """Within the block, in which a GPU is opened, the exception of a CUDA library becomes ours.

    Raises:
        NoGpu: there is none, or no driver.
        BackendError: instead of any other exception.
    """
    try:
        with cuda_errors(_UNUSABLE):
            yield
    except BackendError as exc:
        if any(sign in str(exc) for sign in _ABSENT):
            raise NoGpu(str(exc)) from exc.__cause__
        raise
