"""What is said to TensorRT for RTX and when, to an engine that only listens: there is none without a GPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from numpy_device import NumpyQueue
from sal_runtime.trt.library import Library, load_library
from sal_runtime.trt.rtx import RtxContexts

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has wheels for Linux and Windows only")


class Listener:
    """An engine, its runtime configuration, cache and context in one."""

    device_memory_size_v2 = 4096

    def __init__(self, size: int = 3000, capturable: bool = True) -> None:
        self.said: list[Any] = []
        self._size, self._capturable = size, capturable
        self.dynamic_shapes_kernel_specialization_strategy: Any = None

    def create_runtime_config(self) -> Listener:
        return self

    def set_execution_context_allocation_strategy(self, strategy: Any) -> None:
        self.said.append(strategy)

    def create_runtime_cache(self) -> Any:
        return SimpleNamespace(deserialize=self.said.append, serialize=lambda: b"compiled")

    def set_runtime_cache(self, cache: Any) -> bool:
        self.said.append("cache")
        return True

    def create_execution_context(self, runtime_config: object) -> Listener:
        assert runtime_config is self, "contexts are made with what was configured"
        self.said.append("context")
        return self

    def update_device_memory_size_for_shapes(self) -> int:
        self.said.append("size")
        return self._size

    def set_device_memory(self, memory: int, size: int) -> None:
        self.said.append((memory, size))

    def is_stream_capturable(self, stream: int) -> bool:
        return self._capturable and stream == 7


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library("tensorrt_rtx")


def test_a_context_gets_its_memory_from_the_queue_after_its_shapes(tmp_path: Path, library: Library) -> None:
    engine, queue = Listener(), NumpyQueue()
    contexts = RtxContexts(library, engine, tmp_path / "m.engine")
    assert engine.dynamic_shapes_kernel_specialization_strategy == trt.DynamicShapesKernelSpecializationStrategy.EAGER
    with queue.active():
        contexts.give_memory(contexts.make(), queue)
    address = next(iter(queue.memory))
    strategy = trt.ExecutionContextAllocationStrategy.USER_MANAGED
    assert engine.said == [strategy, "cache", "context", "size", (address, 3000)]


def test_where_it_knows_no_size_for_the_shapes_the_engines_is_taken(tmp_path: Path, library: Library) -> None:
    engine, queue = Listener(size=0), NumpyQueue()
    contexts = RtxContexts(library, engine, tmp_path / "m.engine")
    with queue.active():
        contexts.give_memory(contexts.make(), queue)
    assert engine.said[-1][1] == 4096


def test_what_was_compiled_is_kept_beside_the_engine_and_read_again(tmp_path: Path, library: Library) -> None:
    RtxContexts(library, Listener(), tmp_path / "m.engine").keep()
    assert (tmp_path / "m.engine.kernels").read_bytes() == b"compiled"
    again = Listener()
    RtxContexts(library, again, tmp_path / "m.engine").keep()
    assert b"compiled" in again.said


def test_whether_it_can_be_captured_is_asked(library: Library) -> None:
    assert RtxContexts.unrecordable(Listener(), 7) == ""
    assert RtxContexts.unrecordable(Listener(capturable=False), 7) == "this engine asks for memory while it runs"
