"""An ONNX artifact to a TensorRT engine: strongly typed, every type as the graph says, in any version.

There is no precision among the options: it stands in the graph. (Versions before 11 would take a flag instead, later
ones ignore it in silence.) For the same reason nothing here calibrates.
"""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sal_runtime.atomic import aside
from sal_runtime.backends import OnBuild, silent
from sal_runtime.errors import BackendError, InputError
from sal_runtime.gpu import Gpu
from sal_runtime.manifest import Manifest, Signature
from sal_runtime.stopping import StopRequest
from sal_runtime.trt import rtx
from sal_runtime.trt.library import Library, last_error, plain_words
from sal_runtime.trt.options import Batches, BuildOptions, profiles_of


@dataclass(frozen=True)
class Layer:
    """One layer of a network or of an engine."""

    name: str
    kind: str
    output: str
    """Types and shapes that it gives."""


def build_engine(
    library: Library,
    onnx: bytes,
    manifest: Manifest,
    options: BuildOptions | None = None,
    timing_cache: Path | None = None,
    on_phase: OnBuild = silent,
    gpu: Gpu | None = None,
) -> bytes:
    """Build an engine from an artifact's bytes.

    Args:
        library: from :func:`sal_runtime.trt.library.load_library`.
        onnx: the whole ``.onnx``.
        manifest: what stands in it.
        options: see there.
        timing_cache: a file that remembers which kernels were fastest, read and written; RTX has no use for one.
        on_phase: told of progress; whatever it raises ends the build.
        gpu: what it is for, whose context is current; None where there is none, which RTX can do without.

    Raises:
        BackendError: TensorRT refused the graph (the message names the layer) or could not build it.
        InputError: profiles that do not fit the artifact.
        ArtifactError: the graph's tensors are not the manifest's.
        KeyboardInterrupt: Ctrl-C or SIGTERM; the build ends with its present step.
    """
    options, trt, log = options or BuildOptions(), library.module, library.log()
    if library.rtx and options.version_compatible:
        raise InputError("TensorRT for RTX makes no engine that other versions load; leave out --version-compatible")
    builder = _builder(library, log)
    network = _parse(library, builder, onnx, log)
    manifest.agree(_signatures(library, network, "input"), _signatures(library, network, "output"), manifest.model)
    config = builder.create_builder_config()
    for profile in profiles_of(manifest, options):
        config.add_optimization_profile(_profile(builder, manifest, profile))
    if options.workspace is not None:
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace << 20)
    if options.level is not None:
        config.builder_optimization_level = options.level
    if not options.tf32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.version_compatible:
        config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
    if library.rtx:
        rtx.configure(library, config, gpu)
    elif options.hardware_compatible:  # an RTX engine is, without being told
        config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    # An exception in a callback, a Ctrl-C's as well, is printed and dropped by TensorRT's bindings: so none is raised.
    with StopRequest(insist=False) as stop:
        monitor = _monitor(library, on_phase, stop)
        config.progress_monitor = monitor
        with _timing_cache(library, config, timing_cache):
            built = builder.build_serialized_network(network, config)
    if monitor.error is not None:
        raise monitor.error
    if stop.number is not None:
        signal.raise_signal(stop.number)  # to whoever would have had it: a program's own handler, or Python's
        raise KeyboardInterrupt
    if built is None:
        raise BackendError(f"{library.name} could not build the engine: {last_error(log, 'it does not say why')}")
    return bytes(built)


def network_layers(library: Library, onnx: bytes) -> list[Layer]:
    """The layers of an artifact as TensorRT reads them, before it fuses any; needs no GPU with RTX.

    Raises:
        BackendError: see :func:`build_engine`.
    """
    log = library.log()
    builder = _builder(library, log)
    network = _parse(library, builder, onnx, log)
    layers = []
    for number in range(network.num_layers):
        layer = network.get_layer(number)
        outputs = (layer.get_output(place) for place in range(layer.num_outputs))
        told = ", ".join(f"{library.type_name(o.dtype)}{list(o.shape)}" for o in outputs)
        layers.append(Layer(layer.name, layer.type.name.lower(), told))
    return layers


def _builder(library: Library, log: Any) -> Any:
    try:
        builder = library.module.Builder(log)
    except (RuntimeError, TypeError) as exc:  # pybind11 says "factory function returned nullptr"
        raise BackendError(
            f"{library.name} {library.version} cannot start: {last_error(log, str(exc))}; is there a GPU, and is its "
            "driver new enough?"
        ) from exc
    return builder


def _parse(library: Library, builder: Any, onnx: bytes, log: Any) -> Any:
    trt = library.module
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    if parser.parse(onnx):
        return network
    faults = [parser.get_error(number) for number in range(parser.num_errors)]
    if not faults:
        raise BackendError(f"{library.name} cannot read the graph: {last_error(log, 'it does not say why')}")
    fault = faults[0]
    reason = plain_words(fault.desc())
    if "zero point" in reason.lower():
        reason = (
            "the artifact was quantised for a CPU; sal-export --precision int8 --target tensorrt quantises for this"
        )
    elif "Plugin not found" in reason:
        reason = "it does not know this operator"
    raise BackendError(
        f"{library.name} {library.version} refuses layer {fault.node_name()!r} ({fault.node_operator()}): {reason}"
    )


def _signatures(library: Library, network: Any, side: str) -> dict[str, Signature]:
    """Name to type and shape of a network's inputs or outputs."""
    count, get = (
        (network.num_inputs, network.get_input) if side == "input" else (network.num_outputs, network.get_output)
    )
    tensors = [get(number) for number in range(count)]
    return {tensor.name: (library.type_name(tensor.dtype), tuple(tensor.shape)) for tensor in tensors}


def _profile(builder: Any, manifest: Manifest, batches: Batches) -> Any:
    profile = builder.create_optimization_profile()
    for spec in (manifest.frame, manifest.carry, *(state.input for state in manifest.states)):
        profile.set_shape(spec.name, *(spec.sized(batch) for batch in batches))
    return profile


def _monitor(library: Library, on_phase: OnBuild, stop: StopRequest) -> Any:
    """An ``IProgressMonitor`` that tells of the phases and ends the build when telling fails or the user wants it."""
    trt = library.module

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        """Phases are nested; each is told under its own name."""

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.error: BaseException | None = None
            self._steps: dict[str, int] = {}

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            """A phase of so many steps begins."""
            self._steps[phase_name] = num_steps
            self._tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """A step is done; False ends the build."""
            self._tell(phase_name, step + 1)
            return self.error is None and not stop.requested

        def phase_finish(self, phase_name: str) -> None:
            """A phase is done."""
            self._tell(phase_name, self._steps.get(phase_name, 0))

        def _tell(self, name: str, done: int) -> None:
            if self.error is not None:
                return
            try:
                on_phase(name, done, self._steps.get(name, 0))
            except BaseException as exc:  # it must not pass through TensorRT's own frames
                self.error = exc

    return Monitor()


@contextlib.contextmanager
def _timing_cache(library: Library, config: Any, path: Path | None) -> Iterator[None]:
    """Within the block the builder uses the timings kept in ``path``; afterwards those it added are kept too."""
    if path is None or library.rtx:
        yield
        return
    cache: Any = None
    with contextlib.suppress(Exception):  # a cache that cannot be read or kept costs time and nothing else
        cache = config.create_timing_cache(path.read_bytes() if path.exists() else b"")
        if not config.set_timing_cache(cache, False):  # of another version or card
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)
    yield
    with contextlib.suppress(Exception), aside(path, exist_ok=True) as partial:
        partial.write_bytes(bytes(cache.serialize()))
