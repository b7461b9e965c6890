"""TensorRT: engines loaded, held against their records, and given to streams that keep their state on the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sal_runtime.backends import Options
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.backends.tensorrt_stream import TensorRtStream
from sal_runtime.errors import ArtifactError, BackendError, InputError
from sal_runtime.gpu import Queue, device_index, open_queue
from sal_runtime.manifest import Manifest, Signature
from sal_runtime.trt.library import Library, last_error, load_library
from sal_runtime.trt.making import cached_engine
from sal_runtime.trt.options import BuildOptions
from sal_runtime.trt.rtx import RtxContexts
from sal_runtime.trt.sidecar import read_record, verify

_NO_GRAPHS = ", no CUDA graphs"
"""Behind the name of what runs without them."""


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
            with self._home.active():
                self._open(path, options)
        except BaseException:
            self._home.close()
            raise
        self.name = f"{library.name} {library.version} {self._home.gpu.name}, {self._home.api}"
        if not (self._graphs and self._home.has_graphs):
            self.name += _NO_GRAPHS

    def _open(self, path: Path, options: Options) -> None:
        """The engine at ``path``, or an artifact's from the cache."""
        self.note = ""
        if path.suffix == ".engine":
            self._load(path)
            return
        build = BuildOptions(workspace=options.workspace)
        device: tuple[str, ...] = () if self._index == 0 else ("--device", f"cuda:{self._index}")
        device += () if self._api == Options.device_api else ("--device-api", self._api)
        engine, built = cached_engine(path, self._library, self._home.gpu, build, options.on_build, device)
        self._load(engine)
        self.note = f"engine {'built, and kept' if built else 'kept before'} as {engine}"

    def _load(self, engine: Path) -> None:
        """Check an engine against its record, and load it."""
        library, record, data = self._library, read_record(engine), engine.read_bytes()
        verify(record, engine, data, library, self._home.gpu)
        runtime: Any = library.module.Runtime(self._log)
        # A version-compatible engine brings the runtime of its own version along, which is code and wants a permission.
        runtime.engine_host_code_allowed = record.options.version_compatible
        self._runtime, self._engine = runtime, runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise BackendError(
                f"{engine}: {library.name} cannot load it: {last_error(self._log, 'it does not say why')}; "
                f"build it again: {record.rebuild(engine)}"
            )
        record.manifest.agree(*_signatures(self._engine, library), str(engine))
        self.record, self.manifest = record, record.manifest
        self._rtx = RtxContexts(library, self._engine, engine) if library.rtx else None

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
        wanted = graphs and self._graphs
        try:
            with queue.active():
                stream = self._stream_on(queue, batch, wanted)
        except BaseException:
            queue.close()
            raise
        if wanted and queue.has_graphs and stream.without_graphs and _NO_GRAPHS not in self.name:
            self.name += _NO_GRAPHS
            self.note = "; ".join(filter(None, (self.note, f"no CUDA graphs: {stream.without_graphs}")))
        return stream

    def _stream_on(self, queue: Queue, batch: int, graphs: bool) -> TensorRtStream:
        if self._engine is None:
            raise InputError("this engine has been closed; open the artifact again")
        profile = self._profile(batch)
        execution = EngineExecution(self._engine, self.manifest, batch, profile, queue, self._log, self._rtx)
        try:
            return TensorRtStream(queue, execution, self.manifest, batch, graphs=graphs)
        except BaseException:
            execution.close()
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
        try:
            with self._home.active():
                if self._rtx is not None:
                    self._rtx.keep()
                self._engine = self._runtime = self._rtx = None
        finally:
            self._home.close()

    def _profile(self, batch: int) -> int | None:
        """The profile optimised for a batch nearest to this one; None where the batch is fixed."""
        fitting = [n for n, (least, _, most) in enumerate(self.record.profiles) if least <= batch <= most]
        if self.record.profiles and not fitting:
            told = ", ".join(f"{least} to {most}" for least, _, most in self.record.profiles)
            raise InputError(
                f"a batch of {batch} was asked for, the engine takes {told}; build it with another --profile"
            )
        return min(fitting, key=lambda n: abs(self.record.profiles[n][1] - batch), default=None)


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
        rtx: RtxContexts | None = None,
    ) -> None:
        """``rtx`` makes the context where the engine is RTX's; ``queue`` is active."""
        self._log, self._rtx = log, rtx
        self._context: Any = engine.create_execution_context() if rtx is None else rtx.make()
        if self._context is None:
            raise BackendError(f"TensorRT has no memory for a stream: {last_error(log, 'it does not say why')}")
        if profile is not None:
            if profile and not self._context.set_optimization_profile_async(profile, queue.handle):
                raise BackendError(f"TensorRT refuses profile {profile}: {last_error(log, 'it does not say why')}")
            queue.synchronize()
            for spec in (manifest.frame, manifest.carry, *(state.input for state in manifest.states)):
                if not self._context.set_input_shape(spec.name, spec.sized(batch)):
                    raise BackendError(f"TensorRT refuses the shape {spec.sized(batch)} for {spec.name}")
        if rtx is not None:
            rtx.give_memory(self._context, queue)

    def bind(self, name: str, address: int) -> None:
        """See :class:`sal_runtime.backends.tensorrt_stream.Execution`."""
        if not self._context.set_tensor_address(name, address):
            raise BackendError(f"TensorRT knows no tensor {name!r}: {last_error(self._log, 'it does not say why')}")

    def enqueue(self, stream: int) -> None:
        """See :class:`sal_runtime.backends.tensorrt_stream.Execution`."""
        if not self._context.execute_async_v3(stream):
            raise BackendError(f"TensorRT failed in a step: {last_error(self._log, 'it does not say why')}")

    def unrecordable(self, stream: int) -> str:
        """See :class:`sal_runtime.backends.tensorrt_stream.Execution`."""
        return "" if self._rtx is None else self._rtx.unrecordable(self._context, stream)

    def close(self) -> None:
        """See :class:`sal_runtime.backends.tensorrt_stream.Execution`."""
        self._context = self._rtx = None


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
