"""TensorRT: engines loaded, held against their records, and given to streams that keep their state on the device."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from sal_runtime.atomic import aside
from sal_runtime.backends import Options
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.backends.tensorrt_stream import TensorRtStream
from sal_runtime.errors import ArtifactError, BackendError, InputError, SalError
from sal_runtime.gpu import Queue, device_index, open_queue
from sal_runtime.manifest import Manifest, Signature
from sal_runtime.trt.library import Library, last_error, load_library
from sal_runtime.trt.making import cached_engine
from sal_runtime.trt.options import BuildOptions
from sal_runtime.trt.sidecar import read_record, verify


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
        """See :class:`sal_runtime.backends.tensorrt_stream.Execution`."""
        if not self._context.set_tensor_address(name, address):
            raise BackendError(f"TensorRT knows no tensor {name!r}: {last_error(self._log, 'it does not say why')}")

    def enqueue(self, stream: int) -> None:
        """See :class:`sal_runtime.backends.tensorrt_stream.Execution`."""
        if not self._context.execute_async_v3(stream):
            raise BackendError(f"TensorRT failed in a step: {last_error(self._log, 'it does not say why')}")

    def close(self) -> None:
        """See :class:`sal_runtime.backends.tensorrt_stream.Execution`."""
        self._context = None


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
