"""What only TensorRT for RTX knows. Everything else in this folder is said to every TensorRT alike.

Its engines are compiled for the card when they are first run. For a CUDA graph all of that must have happened before,
and no memory may be asked for while it is recorded: so contexts are given their memory, and kernels for the shapes at
hand are compiled before the first step and kept beside the engine for the next start.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from sal_runtime.atomic import aside
from sal_runtime.gpu import Gpu, Queue
from sal_runtime.trt.library import Library

_TURING = "7.5"
"""The one compute capability that an engine does not fit unless it is built for it alone."""


def configure(library: Library, config: Any, gpu: Gpu | None) -> None:
    """Say to an ``IBuilderConfig`` what an engine for CUDA graphs, or for Turing, needs."""
    trt = library.module
    config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if gpu is not None and gpu.capability == _TURING:
        config.num_compute_capabilities = 1
        config.set_compute_capability(trt.ComputeCapability.SM75, 0)


class RtxContexts:
    """Makes an engine's contexts, and keeps what was compiled for them."""

    def __init__(self, library: Library, engine: Any, path: Path) -> None:
        """Read what was compiled before from beside ``path``, the engine's file."""
        trt, self._engine = library.module, engine
        self._path = path.with_name(path.name + ".kernels")
        self._config: Any = engine.create_runtime_config()
        self._config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
        self._config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        self._cache: Any = self._config.create_runtime_cache()
        with contextlib.suppress(OSError):
            self._cache.deserialize(self._path.read_bytes())  # one of another card or version is left unused
        self._config.set_runtime_cache(self._cache)

    def make(self) -> Any:
        """An ``IExecutionContext``; None where that fails."""
        return self._engine.create_execution_context(runtime_config=self._config)

    def give_memory(self, context: Any, queue: Queue) -> None:
        """Its activations' memory, once its shapes are set; it lives as long as the queue."""
        nbytes = context.update_device_memory_size_for_shapes() or self._engine.device_memory_size_v2
        memory = queue.allocate(max(int(nbytes), 256))
        context.set_device_memory(memory.address, memory.nbytes)

    @staticmethod
    def unrecordable(context: Any, stream: int) -> str:
        """Why its work cannot be recorded as a CUDA graph; empty where it can."""
        return "" if context.is_stream_capturable(stream) else "this engine asks for memory while it runs"

    def keep(self) -> None:
        """Write what was compiled; where that cannot be done, it is compiled again."""
        with contextlib.suppress(Exception), aside(self._path, exist_ok=True) as partial:
            partial.write_bytes(bytes(self._cache.serialize()))
