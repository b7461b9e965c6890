"""The command ``sal-export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from sal_runtime.bundled import CHECKPOINT, default_model
from sal_runtime.console import err, needs_extra, out, warn
from sal_runtime.errors import InputError
from sal_runtime.manifest import Manifest

with needs_extra("export"):
    import torch

    from sal_export.parity import FRAMES, Parity
    from sal_export.pipeline import ExportOptions, export_onnx, load_network
    from sal_export.step_graph import OPSET
    from sal_export.trajectories import KEPT
    from sal_train.models import CONFIGS
    from sal_train.models.recurrence import EMA
    from sal_train.weights import RELEASED

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")


@app.command()
def sal_export(
    checkpoint: Annotated[
        Path | None,
        typer.Argument(help="Weights: .safetensors of sal-train, or a released .pt; default: those that ship."),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(
            help="Configuration of a .pt; another one for the weights of a .safetensors; without a checkpoint: of a "
            "network with random weights. " + ", ".join(CONFIGS)
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The artifact; default: CONFIG-PRECISION.onnx here.")
    ] = None,
    precision: Annotated[
        Literal["fp32", "fp16", "int8"], typer.Option(help="Of the convolutions; states stay float32.")
    ] = "fp32",
    half: Annotated[bool, typer.Option("--half", help="The same as --precision fp16.")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="The same as --precision int8.")] = False,
    target: Annotated[
        Literal["cpu", "onnxruntime", "openvino", "openvino-bf16", "tensorrt"],
        typer.Option(help="Where it is to run: decides --fold auto, and how int8 is quantised (tensorrt or not)."),
    ] = "cpu",
    calib: Annotated[str, typer.Option(help="int8: video, folder of them, or demo, for the ranges.")] = "demo",
    calib_frames: Annotated[int, typer.Option(min=1, help="int8: frames of it that are used.")] = KEPT,
    quant_exclude: Annotated[
        list[str] | None, typer.Option(help="int8: convolutions that stay float, by a part of their name; repeatable.")
    ] = None,
    imgsz: Annotated[tuple[int, int], typer.Option(help="Height and width of a frame, multiples of 16.")] = (192, 256),
    batch: Annotated[int, typer.Option(help="Frames that step together.")] = 1,
    dynamic: Annotated[bool, typer.Option("--dynamic", help="Leave the batch open instead.")] = False,
    opset: Annotated[int, typer.Option(min=18, help="ONNX operator set.")] = OPSET,
    fold: Annotated[
        Literal["auto", "transposed", "shuffle", "phases", "none"],
        typer.Option(help="How upsampling and convolution are folded; auto: by measurement."),
    ] = "auto",
    parity_frames: Annotated[int, typer.Option(min=1, help="Frames of the check against the network.")] = FRAMES,
    parity_source: Annotated[str, typer.Option(help="Their source: video, picture, folder, glob or demo.")] = "demo",
    parity_backend: Annotated[str, typer.Option(help="What runs it in the check.")] = "onnxruntime",
    seed: Annotated[int, typer.Option(help="Of random weights.")] = 0,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Overwrite the artifact if it exists.")] = False,
) -> None:
    """Turn a checkpoint into an artifact with explicit state, and prove it against PyTorch frame by frame."""
    if dynamic and batch != 1:
        raise InputError(f"--dynamic leaves the batch open, so --batch {batch} has nothing to fix; give one of them")
    if half and int8:
        raise InputError("--half and --int8 exclude each other")
    if precision == "fp32":
        precision = "fp16" if half else "int8" if int8 else "fp32"
    if checkpoint is None and config is None:
        checkpoint = default_model(CHECKPOINT)
    network, origin = load_network(checkpoint, config, seed)
    if "random_weights" in origin:
        warn(f"{config} gets RANDOM WEIGHTS: the artifact is for trying and timing, its maps mean nothing")
    released = checkpoint is not None and checkpoint.suffix in RELEASED
    for line in _alphas(network.config.name, network.recurrences.values(), released):
        out.print(line)
    path = output or Path(f"{network.config.name}-{precision}.onnx")
    if path.suffix != ".onnx":
        raise InputError(f"{path}: the artifact's name must end in .onnx")
    options = ExportOptions(
        precision=precision,
        height=imgsz[0],
        width=imgsz[1],
        batch=None if dynamic else batch,
        opset=opset,
        fold=fold,
        parity_source=parity_source,
        parity_frames=parity_frames,
        exist_ok=exist_ok,
        target=target,
        calib=calib,
        calib_frames=calib_frames,
        quant_exclude=tuple(quant_exclude or ()),
        parity_backend=parity_backend,
    )
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("loading", total=parity_frames)
        manifest, parity = export_onnx(
            network,
            path,
            options,
            origin,
            on_stage=lambda stage: bar.update(task, description=stage),
            on_frame=lambda: bar.advance(task),
        )
    _report(path, manifest, parity)


def _alphas(name: str, recurrences: object, released: bool) -> list[str]:
    """A line for each EMA, with the raw value where alpha was learnt: the two are easily confused (eq. 6 and 8)."""
    lines = []
    for module in recurrences:  # type: ignore[attr-defined]
        if isinstance(module, EMA):
            raw = f", raw {module.raw_alpha.item():.4f} before its sigmoid" if module.config.learnt else ""
            if released and not module.config.learnt:
                passed = torch.tensor(module.config.alpha).sigmoid().item()
                raw = f", the paper's; the code of that release passed it through a sigmoid and used {passed:.3f}"
            lines.append(f"{name}: alpha {module.alpha().item():.4f} at layer {module.config.index}{raw}")
    return lines


def _report(path: Path, manifest: Manifest, parity: Parity) -> None:
    """What was made, how well it agrees, and what to do with it."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    batch = "any batch" if manifest.batch is None else f"batch {manifest.batch}"
    table.add_row("artifact", f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    table.add_row("model", f"{manifest.model} {manifest.precision}, {manifest.height}x{manifest.width}, {batch}")
    states = ", ".join(f"{s.input.name} {list(s.input.shape[1:])}" for s in manifest.states)
    table.add_row("state", states or "none")
    fold = manifest.provenance["fold"]
    reason = manifest.provenance.get("fold_reason")
    table.add_row("fold", f"{fold} ({reason})" if reason else str(fold))
    if "quantisation" in manifest.provenance:
        told = manifest.provenance["quantisation"]
        seen = told["calibration"]
        table.add_row(
            "int8", f"activations {told['activations']}; ranges of {seen['frames']} frames of {seen['source']}"
        )
    worst = parity.summary()
    told = f"{len(parity.error)} frames of {parity.source}, state begun anew at {', '.join(map(str, parity.restarts))}"
    table.add_row("parity", f"{told}, on {parity.backend}")
    table.add_row("", f"map off by at most {worst['max_error']:.1e}, CC at least {worst['min_cc']:.6f}")
    table.add_row(
        "", f"KL at most {worst['max_kl']:.1e}, state off by at most {worst['max_state_drift']:.1e} of its peak"
    )
    table.add_row("drift", _drift(parity))
    out.print(table)
    out.print(f"run it:  sal-run {path} --source demo --save saliency.mp4", soft_wrap=True)


def _drift(parity: Parity) -> str:
    """The state's error at a few frames over the run: growth would show."""
    count = len(parity.state)
    chosen = sorted({0, *(count * part // 6 for part in range(1, 6)), count - 1})
    return "  ".join(f"{frame}: {parity.state[frame]:.1e}" for frame in chosen)
