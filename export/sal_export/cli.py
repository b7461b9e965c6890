"""The command ``sal-export``: from a checkpoint to an artifact, from either to an engine."""

from __future__ import annotations

import contextlib
import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sal_export.command_line import engine_command, require_meaning
from sal_export.engines import EngineOptions, export_engine
from sal_export.inspection import engine_layers
from sal_export.options import OPSET, ExportOptions, FoldForm, Precision, Target, for_tensorrt
from sal_export.parity import FRAMES
from sal_export.telling import alphas, tell_artifact, tell_engine, tell_layers
from sal_export.trajectories import KEPT
from sal_runtime.backends import Backend, OnBuild
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.bundled import CHECKPOINT, default_model
from sal_runtime.console import build_progress, needs_extra, out, stage_bar, typed, warn
from sal_runtime.errors import InputError
from sal_runtime.trt.building import network_layers
from sal_runtime.trt.library import Library, load_library
from sal_runtime.trt.options import BuildOptions, parse_profile

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

FORMATS = ("onnx", "engine")
_GRAPH, _INT8, _ENGINE, _CHECK = "Graph", "int8 and fp8", "TensorRT engine", "Check"


@app.command()
def sal_export(
    context: typer.Context,
    checkpoint: Annotated[
        Path | None,
        typer.Argument(
            help="Weights: .safetensors of sal-train, or a released .pt; default: those that ship. Or an artifact "
            "(.onnx), to build its engine; no PyTorch is needed then."
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="Configuration of a .pt; another one for the weights of a .safetensors; without a checkpoint: of a "
            "network with random weights. Such as salema30, salclstm30, compact-ema; an unknown one lists all."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The file; default: CONFIG-PRECISION.onnx (.engine) here.")
    ] = None,
    formats: Annotated[str, typer.Option("--format", help="onnx, engine (TensorRT), or both: onnx,engine.")] = "onnx",
    precision: Annotated[Precision, typer.Option(help="Of the convolutions; states stay float32.")] = "fp32",
    half: Annotated[bool, typer.Option("--half", help="The same as --precision fp16.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="The same as --precision int8.")] = False,
    target: Annotated[
        Target | None,
        typer.Option(
            help="Where it is to run: decides --fold auto, how int8 is quantised, and which TensorRT builds an engine. "
            "Default: cpu; tensorrt where an engine is made."
        ),
    ] = None,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Overwrite files that exist.")] = False,
    imgsz: Annotated[
        tuple[int, int], typer.Option(help="Height and width of a frame, multiples of 16.", rich_help_panel=_GRAPH)
    ] = (192, 256),
    batch: Annotated[int, typer.Option(help="Frames that step together.", rich_help_panel=_GRAPH)] = 1,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Leave the batch open.", rich_help_panel=_GRAPH)] = False,
    device_resize: Annotated[
        tuple[int, int] | None,
        typer.Option(help="Take whole frames, so high and wide, and shrink them in the graph.", rich_help_panel=_GRAPH),
    ] = None,
    fold: Annotated[
        FoldForm | None,
        typer.Option(
            help="How upsampling and convolution are folded; default: by measurement.", rich_help_panel=_GRAPH
        ),
    ] = None,
    opset: Annotated[int, typer.Option(min=18, help="ONNX operator set.", rich_help_panel=_GRAPH)] = OPSET,
    calib: Annotated[
        str, typer.Option(help="Video, folder of them, or demo, for the ranges.", rich_help_panel=_INT8)
    ] = "demo",
    calib_frames: Annotated[int, typer.Option(min=1, help="Frames of it that are used.", rich_help_panel=_INT8)] = KEPT,
    quant_exclude: Annotated[
        list[str] | None,
        typer.Option(help="Convolutions that stay float, by a part of their name; repeatable.", rich_help_panel=_INT8),
    ] = None,
    workspace: Annotated[
        int | None, typer.Option(min=1, help="MiB for kernels; default: all.", rich_help_panel=_ENGINE)
    ] = None,
    opt_level: Annotated[
        int | None,
        typer.Option(min=0, max=5, help="0 builds fast, 5 runs fast; TensorRT's own: 3.", rich_help_panel=_ENGINE),
    ] = None,
    profile: Annotated[
        list[str] | None,
        typer.Option(help="Batches MIN:OPT:MAX of an open batch; repeatable.", rich_help_panel=_ENGINE),
    ] = None,
    version_compatible: Annotated[
        bool,
        typer.Option("--version-compatible", help="Later TensorRT may load it too.", rich_help_panel=_ENGINE),
    ] = False,
    hardware_compatible: Annotated[
        bool,
        typer.Option(
            "--hardware-compatible",
            help="Other GPUs (Ampere and later) may load it too; slower.",
            rich_help_panel=_ENGINE,
        ),
    ] = False,
    tf32: Annotated[
        bool, typer.Option("--tf32", help="Let float32 convolutions round to TF32.", rich_help_panel=_ENGINE)
    ] = False,
    inspect: Annotated[
        bool,
        typer.Option(
            "--inspect", help="Print the engine's layers, or the graph's as TensorRT reads it.", rich_help_panel=_ENGINE
        ),
    ] = False,
    device: Annotated[str, typer.Option(help="The GPU: cuda or cuda:N.", rich_help_panel=_ENGINE)] = "cuda",
    device_api: Annotated[str, typer.Option(help="cuda.core or pycuda.", rich_help_panel=_ENGINE)] = "cuda.core",
    parity_frames: Annotated[
        int, typer.Option(min=1, help="Frames of the check against the network.", rich_help_panel=_CHECK)
    ] = FRAMES,
    parity_source: Annotated[
        str, typer.Option(help="Their source: video, picture, folder, glob or demo.", rich_help_panel=_CHECK)
    ] = "demo",
    parity_backend: Annotated[
        str | None, typer.Option(help="What runs the .onnx in the check; default: by --target.", rich_help_panel=_CHECK)
    ] = None,
    seed: Annotated[int, typer.Option(help="Of random weights.", rich_help_panel=_CHECK)] = 0,
) -> None:
    """Turn a checkpoint into an artifact with explicit state, and prove it against PyTorch frame by frame."""
    if dynamic and batch != 1:
        raise InputError(f"--dynamic leaves the batch open, so --batch {batch} has nothing to fix; give one of them")
    words = typed(context)
    if "formats" not in words and output is not None and output.suffix == ".engine":
        formats = "engine"
    wanted = _formats(formats)
    given = checkpoint is not None and checkpoint.suffix in (".onnx", ".engine")
    building = "engine" in wanted
    precision = "fp16" if half else "int8" if int8 else precision
    require_meaning(words, precision, checkpoint.name if given and checkpoint else "", building or inspect)
    if building and device == "cpu":
        raise InputError("an engine is for a GPU: --device cuda or cuda:N, not cpu")
    aim: Target = target or ("tensorrt" if building or precision == "fp8" else "cpu")
    if (building or inspect) and target is not None and not for_tensorrt(aim):
        raise InputError(f"an engine runs in TensorRT: --target tensorrt or tensorrt-rtx, not {aim}")
    profiles = tuple(map(parse_profile, profile or ()))
    engine_options = EngineOptions(
        BuildOptions(workspace, opt_level, profiles, version_compatible, hardware_compatible, tf32),
        device, device_api, parity_source, parity_frames, exist_ok, engine_command(context),
    )  # fmt: skip
    library = load_library("tensorrt_rtx" if aim == "tensorrt-rtx" else "tensorrt") if building or inspect else None
    if given and checkpoint is not None:
        _from_artifact(checkpoint, output, wanted, library, engine_options, inspect)
        return
    options = ExportOptions(
        precision=precision,
        height=imgsz[0],
        width=imgsz[1],
        batch=None if dynamic else batch,
        opset=opset,
        fold=fold or "auto",
        parity_source=parity_source,
        parity_frames=parity_frames,
        exist_ok=exist_ok,
        target=aim,
        calib=calib,
        calib_frames=calib_frames,
        quant_exclude=tuple(quant_exclude or ()),
        parity_backend=parity_backend,
        device_resize=device_resize,
    )
    looking = inspect and output is None and "formats" not in words
    _from_checkpoint(checkpoint, config, seed, output, wanted, options, library, engine_options, inspect, looking)


def _formats(text: str) -> tuple[str, ...]:
    """``onnx,engine`` as its parts."""
    found = tuple(part.strip() for part in text.split(","))
    for part in found:
        if part not in FORMATS:
            raise InputError(f"there is no format {part!r}; choose from {', '.join(FORMATS)}, or onnx,engine for both")
    return found


def _from_artifact(
    path: Path,
    output: Path | None,
    formats: Sequence[str],
    library: Library | None,
    options: EngineOptions,
    inspect: bool,
) -> None:
    """An engine from an ``.onnx``, or what is in either of them."""
    if path.suffix == ".engine":
        if not inspect:
            raise InputError(f"{path}: is an engine already; --inspect prints its layers, sal-run runs it")
        tell_layers(engine_layers(path, options.device, options.device_api), f"Layers of {path.name}")
        return
    read_manifest(path)
    if library is None:
        raise InputError(f"{path}: is an artifact already; --format engine builds an engine from it")
    if "engine" in formats:
        _make_engine(path, _named(output or path.with_suffix(".engine"), ".engine"), library, options, None, inspect)
    else:
        _tell_graph(path, library)


def _from_checkpoint(
    checkpoint: Path | None,
    config: str | None,
    seed: int,
    output: Path | None,
    formats: Sequence[str],
    options: ExportOptions,
    library: Library | None,
    engine_options: EngineOptions,
    inspect: bool,
    looking: bool,
) -> None:
    """The whole way: weights, graph, check, and an engine if it is wanted; ``looking``: nothing is kept."""
    with needs_extra("export"):
        from sal_export.pipeline import export_onnx, load_network, planned
        from sal_train.torch_backend import TorchBackend
        from sal_train.weights import RELEASED
    if checkpoint is None and config is None:
        checkpoint = default_model(CHECKPOINT)
    network, origin = load_network(checkpoint, config, seed)
    if "random_weights" in origin:
        ships = config == default_model(CHECKPOINT).stem
        told = "; without --config the trained ones that ship are taken" if ships else ""
        warn(f"{config} gets RANDOM WEIGHTS: the artifact is for trying and timing, its maps mean nothing{told}")
    if "unfinished" in origin:
        warn(f"{checkpoint} is of a training that was stopped: {origin['unfinished']}")
    released = checkpoint is not None and checkpoint.suffix in RELEASED
    for line in alphas(planned(network, options), released):
        out.print(line)
    path = output or Path(f"{network.config.name}-{options.precision}.{formats[0]}")
    onnx, engine = path.with_suffix(".onnx"), path.with_suffix(".engine")
    _named(path, *(f".{name}" for name in formats))
    with contextlib.ExitStack() as stack:
        if looking or "onnx" not in formats:  # then the artifact is a step on the way
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="sal-export-"))
            onnx = Path(folder) / onnx.name
        with stage_bar() as tell:
            options = dataclasses.replace(options, parity_frames=1) if looking else options
            steps = _Steps(tell, options.parity_frames)
            manifest, parity = export_onnx(network, onnx, options, origin, steps.stage, steps.frame)
        if "onnx" in formats and not looking:
            tell_artifact(onnx, manifest, parity)
        if library is not None and "engine" in formats:
            reference = TorchBackend(network, options.height, options.width)
            _make_engine(onnx, engine, library, engine_options, reference, inspect)
        elif library is not None:
            _tell_graph(onnx, library)


def _make_engine(
    onnx: Path, engine: Path, library: Library, options: EngineOptions, reference: Backend | None, inspect: bool
) -> None:
    """Build, prove, tell."""
    with build_progress() as tell:
        steps = _Steps(tell, options.parity_frames, "checking")
        record, parity = export_engine(onnx, engine, library, options, reference, tell, steps.frame)
    tell_engine(engine, record, parity)
    if inspect and record.gpu is None:
        _tell_graph(onnx, library)
    elif inspect:
        tell_layers(engine_layers(engine, options.device, options.device_api), f"Layers of {engine.name}")


def _tell_graph(onnx: Path, library: Library) -> None:
    """The layers that need no GPU to be seen."""
    tell_layers(network_layers(library, onnx.read_bytes()), f"{onnx.name} as {library.name} reads it, not yet fused")


def _named(path: Path, *suffixes: str) -> Path:
    """A path that ends as it should."""
    if path.suffix not in suffixes:
        raise InputError(f"{path}: the artifact's name must end in {' or '.join(suffixes)}")
    return path


class _Steps:
    """Frames of a check, counted for a bar."""

    def __init__(self, tell: OnBuild, total: int, name: str = "loading") -> None:
        self._tell, self._total, self._name, self._done = tell, total, name, 0

    def stage(self, name: str) -> None:
        """Another stage begins."""
        self._name = name
        self._tell(name, self._done, self._total)

    def frame(self) -> None:
        """A frame is done."""
        self._done += 1
        self._tell(self._name, self._done, self._total)
