"""TensorRT: an engine whose recurrent state never leaves the device.

Each stream owns a queue (a CUDA stream and its memory): two sets of state buffers that swap roles, since TensorRT
computes wrong results where a state is read and written in one place; page-locked host memory for the picture and the
map. A step uploads the picture and ``carry``, runs, and downloads the map: nothing else moves, nothing is allocated.

With CUDA graphs a whole step is recorded twice, once for each direction of the swap, and replayed. A slot restarts by
its own ``carry``, which is data, so that a recorded graph serves first frames as well.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.atomic import aside
from sal_runtime.backends import Options
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.backends.pair import StatePair
from sal_runtime.errors import ArtifactError, BackendError, InputError, SalError
from sal_runtime.gpu import Memory, Queue, device_index, open_queue
from sal_runtime.manifest import Manifest, Shape, Signature
from sal_runtime.trt.building import BuildOptions
from sal_runtime.trt.library import Library, last_error, load_library
from sal_runtime.trt.making import cached_engine
from sal_runtime.trt.sidecar import read_record, verify


class Execution(Protocol):
    """What a stream needs of an engine: an execution context, in three words."""

    def bind(self, name: str, address: int) -> None:
        """Say where a tensor lies on the device, from the next :meth:`enqueue` on."""

    def enqueue(self, stream: int) -> None:
        """Put one inference on a CUDA stream.

        Raises:
            BackendError: the engine refused.
        """

    def close(self) -> None:
        """Release the context and its memory."""


class TensorRtBackend:
    """An engine, or an artifact whose engine is built on first use and kept."""

    def __init__(self, path: Path, options: Options, library: Library) -> None:
        if options.precision != "auto":
            raise InputError("precision is in the graph of an engine; leave out --precision, and choose it at export")
        self._index = device_index("cuda" if options.device == "cpu" else options.device)
        self._api, self._graphs = options.device_api, options.graphs
        self._library, self._log = library, library.log()
        # First of all, since without a driver TensorRT may end the process; and held, since it holds the context.
        self._home = open_queue(self._index, self._api)
        try:
            engine, self.note = self._engine_of(path, options, library)
            self.record = read_record(engine)
            self.manifest = self.record.manifest
            data = engine.read_bytes()
            verify(self.record, engine, data, library, self._home.gpu)
            runtime: Any = library.module.Runtime(self._log)
            self._runtime, self._engine = runtime, runtime.deserialize_cuda_engine(data)
            if self._engine is None:
                raise BackendError(
                    f"{engine}: {library.name} cannot load it: {last_error(self._log, 'it does not say why')}; "
                    f"build it again: {self.record.rebuild(engine)}"
                )
            self.manifest.agree(*_signatures(self._engine, library), str(engine))
            self._kernels = CompiledKernels(self._engine, engine) if library.rtx else None
        except BaseException:
            self._home.close()
            raise
        self.name = f"{library.name} {library.version} {self._home.gpu.name}, {self._home.api}"
        if not (self._graphs and self._home.has_graphs):
            self.name += ", no CUDA graphs"

    def stream(self, batch: int) -> TensorRtStream:
        """A fresh stream of ``batch`` slots, its states zero.

        Raises:
            InputError: no profile of the engine takes that batch.
            BackendError: the device has no memory left for it.
        """
        return self.stream_on(open_queue(self._index, self._api), batch)

    def stream_on(self, queue: Queue, batch: int, graphs: bool = True) -> TensorRtStream:
        """A stream on a queue that was opened elsewhere; it is closed with the stream, or after an error.

        Args:
            queue: on this backend's GPU.
            batch: slots.
            graphs: False leaves CUDA graphs out though the backend was opened with them.
        """
        execution: EngineExecution | None = None
        try:
            if self._engine is None:
                raise InputError("this engine has been closed; open the artifact again")
            profile, config = self._profile(batch), self._kernels and self._kernels.config
            execution = EngineExecution(self._engine, self.manifest, batch, profile, queue, self._log, config)
            return TensorRtStream(queue, execution, self.manifest, batch, graphs=graphs and self._graphs)
        except BaseException:
            if execution is not None:
                execution.close()
            queue.close()
            raise

    def inspect(self) -> str:
        """The engine's layers as the inspector's JSON."""
        if self._engine is None:
            raise InputError("this engine has been closed; open the artifact again")
        inspector, form = self._engine.create_engine_inspector(), self._library.module.LayerInformationFormat
        return str(inspector.get_engine_information(form.JSON))

    def close(self) -> None:
        """Release the engine; its memory goes with its last stream."""
        if self._engine is None:
            return
        if self._kernels is not None:
            self._kernels.keep()
        self._engine = self._runtime = self._kernels = None
        self._home.close()

    def _engine_of(self, path: Path, options: Options, library: Library) -> tuple[Path, str]:
        """The engine to load, and what to tell of where it came from."""
        if path.suffix == ".engine":
            return path, ""
        build = BuildOptions(workspace=options.workspace)
        engine, built = cached_engine(path, library, self._home.gpu, build, options.on_build)
        return engine, f"engine {'built, and kept' if built else 'kept before'} as {engine}"

    def _profile(self, batch: int) -> int | None:
        """The profile optimised for a batch nearest to this one; None where the batch is fixed."""
        fitting = [n for n, (least, _, most) in enumerate(self.record.profiles) if least <= batch <= most]
        if self.record.profiles and not fitting:
            told = ", ".join(f"{least} to {most}" for least, _, most in self.record.profiles)
            raise InputError(
                f"a batch of {batch} was asked for, the engine takes {told}; build it with another --profile"
            )
        return min(fitting, key=lambda n: abs(self.record.profiles[n][1] - batch), default=None)


class CompiledKernels:
    """What TensorRT for RTX compiles for the card when an engine first runs, kept beside it for the next start."""

    def __init__(self, engine: Any, path: Path) -> None:
        self._path = path.with_name(path.name + ".kernels")
        self.config: Any = engine.create_runtime_config()
        """An ``IRuntimeConfig`` to make contexts with."""
        self._cache: Any = self.config.create_runtime_cache()
        with contextlib.suppress(OSError):
            self._cache.deserialize(self._path.read_bytes())  # one of another card or version is left unused
        self.config.set_runtime_cache(self._cache)

    def keep(self) -> None:
        """Write them; where the folder cannot be written, they are compiled again."""
        with contextlib.suppress(SalError), aside(self._path, exist_ok=True) as partial:
            partial.write_bytes(bytes(self._cache.serialize()))


class EngineExecution:
    """An ``IExecutionContext`` of its own."""

    def __init__(
        self,
        engine: Any,
        manifest: Manifest,
        batch: int,
        profile: int | None,
        queue: Queue,
        log: Any,
        config: Any = None,
    ) -> None:
        """``config`` is RTX's ``IRuntimeConfig``; None makes an ordinary context."""
        self._log = log
        queue.activate()
        self._context: Any = (
            engine.create_execution_context()
            if config is None
            else engine.create_execution_context(runtime_config=config)
        )
        if self._context is None:
            raise BackendError(f"TensorRT has no memory for a stream: {last_error(log, 'it does not say why')}")
        if profile is not None:
            if profile and not self._context.set_optimization_profile_async(profile, queue.handle):
                raise BackendError(f"TensorRT refuses profile {profile}: {last_error(log, 'it does not say why')}")
            queue.synchronize()
            for spec in (manifest.frame, manifest.carry, *(state.input for state in manifest.states)):
                if not self._context.set_input_shape(spec.name, spec.sized(batch)):
                    raise BackendError(f"TensorRT refuses the shape {spec.sized(batch)} for {spec.name}")

    def bind(self, name: str, address: int) -> None:
        """See :class:`Execution`."""
        if not self._context.set_tensor_address(name, address):
            raise BackendError(f"TensorRT knows no tensor {name!r}: {last_error(self._log, 'it does not say why')}")

    def enqueue(self, stream: int) -> None:
        """See :class:`Execution`."""
        if not self._context.execute_async_v3(stream):
            raise BackendError(f"TensorRT failed in a step: {last_error(self._log, 'it does not say why')}")

    def close(self) -> None:
        """See :class:`Execution`."""
        self._context = None


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
        queue.activate()
        inputs = (manifest.frame, manifest.carry)
        self._frame, self._carry, self._saliency = (
            queue.pinned(spec.sized(batch), spec.dtype) for spec in (*inputs, manifest.saliency)
        )
        self._inputs = [queue.allocate(array.nbytes) for array in (self._frame, self._carry)]
        self._output = queue.allocate(self._saliency.nbytes)
        for spec, memory in zip((*inputs, manifest.saliency), (*self._inputs, self._output), strict=True):
            execution.bind(spec.name, memory.address)
        self._states: StatePair[DeviceState] = StatePair((self._side(), self._side()), self._read, self._write)
        self._steps: list[Callable[[], None]] = [self._enqueue, self._enqueue]
        self.without_graphs = "" if graphs and queue.has_graphs else "not asked for" if not graphs else queue.api
        """Why steps are not replayed as CUDA graphs; empty where they are."""
        if not self.without_graphs:
            self._record()
        queue.synchronize()

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame; see :class:`sal_runtime.backends.Stream`. After an error the state is as it was."""
        np.copyto(self._frame, frame)
        np.copyto(self._carry, carry)
        self._queue.activate()
        self._steps[self._states.turn]()
        self._queue.synchronize()
        self._states.swap()
        result: Floats = self._saliency
        return result

    def snapshot(self) -> list[Floats]:
        """Copies of the state that the next step will read."""
        self._queue.activate()
        return self._states.snapshot()

    def restore(self, states: Sequence[Floats]) -> None:
        """Overwrite the state that the next step will read."""
        self._queue.activate()
        self._states.restore(states)

    def close(self) -> None:
        """Release the context, then the memory it may still use."""
        self._execution.close()
        self._queue.close()

    def enqueue_engine(self) -> None:
        """The engine's part of a step, onto the queue and without waiting; by itself it serves measuring only."""
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

    def _side(self) -> list[DeviceState]:
        sizes = [state.input.sized(self._batch) for state in self._manifest.states]
        return [DeviceState(self._queue.allocate(4 * math.prod(shape)), shape) for shape in sizes]

    def _read(self, state: DeviceState) -> Floats:
        array: Floats = np.empty(state.shape, np.float32)
        self._queue.download(array, state.memory)
        self._queue.synchronize()
        return array

    def _write(self, state: DeviceState, array: Floats) -> None:
        self._queue.upload(state.memory, np.ascontiguousarray(array, np.float32))
        self._queue.synchronize()


def open_artifact(path: Path, options: Options) -> TensorRtBackend:
    """Open an engine, or the cached engine of an ``.onnx``."""
    if path.suffix == ".engine":
        return TensorRtBackend(path, options, load_library(read_record(path).library))
    if path.suffix != ".onnx":
        raise ArtifactError(f"{path}: TensorRT runs .engine and .onnx; sal-export makes both")
    read_manifest(path)  # what is no artifact is refused before anything of a GPU is touched
    return TensorRtBackend(path, options, load_library())


def open_rtx(path: Path, options: Options) -> TensorRtBackend:
    """The same with TensorRT for RTX, where both are installed."""
    return TensorRtBackend(path, options, load_library("tensorrt_rtx"))


def _signatures(engine: Any, library: Library) -> tuple[dict[str, Signature], dict[str, Signature]]:
    """Name to type and shape of an engine's inputs, and of its outputs."""
    sides: tuple[dict[str, Signature], dict[str, Signature]] = ({}, {})
    for number in range(engine.num_io_tensors):
        name = engine.get_tensor_name(number)
        told = library.type_name(engine.get_tensor_dtype(name)), tuple(engine.get_tensor_shape(name))
        sides[engine.get_tensor_mode(name) != library.module.TensorIOMode.INPUT][name] = told
    return sides
