"""The command ``sal-train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from sal_runtime.atomic import writing
from sal_runtime.console import err, needs_extra, out, warn
from sal_runtime.errors import InputError, OutputError, SalError
from sal_runtime.stopping import StopRequest

with needs_extra("train"):
    from lightning_fabric import Fabric

    from sal_train.data import open_dataset
    from sal_train.recipe import Recipe, load_recipe, shipped
    from sal_train.training.batches import Batches
    from sal_train.training.loop import LoopOptions, StepReport, Training
    from sal_train.training.start import starting_network
    from sal_train.training.state import FILE
    from sal_train.training.validate import Validation

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

_CHANGE, _RUN = "Changes to the recipe", "Run"


@app.command()
def sal_train(
    recipe: Annotated[
        str | None, typer.Argument(help="Recipe that ships, or a .yaml file; left out, the recipes are listed.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the dataset.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights to go on from: a checkpoint, or a released .pt.")
    ] = None,
    imagenet: Annotated[Path | None, typer.Option(help="torchvision's VGG-16 file, if it cannot be fetched.")] = None,
    output: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run; default: runs/RECIPE.")] = None,
    split: Annotated[str, typer.Option(help="Split to train on.")] = "train",
    val_split: Annotated[str, typer.Option(help="Split to look at after each epoch; '' for none.")] = "val",
    layout: Annotated[str | None, typer.Option(help="Layout of the dataset; default: recognised.")] = None,
    start: Annotated[
        str | None, typer.Option(help="scratch or imagenet, in place of the recipe's.", rich_help_panel=_CHANGE)
    ] = None,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="In all; phases shrink or grow alike.", rich_help_panel=_CHANGE)
    ] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Clips a step.", rich_help_panel=_CHANGE)] = None,
    lr: Annotated[float | None, typer.Option(help="Learning rate.", rich_help_panel=_CHANGE)] = None,
    imgsz: Annotated[
        tuple[int, int] | None, typer.Option(help="Height and width of a frame.", rich_help_panel=_CHANGE)
    ] = None,
    width: Annotated[
        float, typer.Option(min=0.01, help="Factor on channels, for trials.", rich_help_panel=_CHANGE)
    ] = 1.0,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything drawn.", rich_help_panel=_CHANGE)] = None,
    precision: Annotated[str | None, typer.Option(help="32-true or bf16-mixed.", rich_help_panel=_CHANGE)] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel=_RUN)] = "auto",
    devices: Annotated[int, typer.Option(min=1, help="Processes that train together (DDP).", rich_help_panel=_RUN)] = 1,
    workers: Annotated[int, typer.Option(min=0, help="Processes that read data.", rich_help_panel=_RUN)] = 1,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Stop after so many.", rich_help_panel=_RUN)] = None,
    save_every: Annotated[int, typer.Option(min=1, help="Steps between kept states.", rich_help_panel=_RUN)] = 500,
    val_samples: Annotated[int, typer.Option(min=1, help="Of the look after an epoch.", rich_help_panel=_RUN)] = 50,
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="Begin again where a run is; else it is resumed.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Train a configuration of the paper, or the compact one. Run again with the same words, it resumes."""
    if recipe is None:
        _list_recipes()
        return
    changes = _changes(start, batch, lr, imgsz, seed, precision)
    chosen = load_recipe(recipe, changes)
    if epochs is not None:
        chosen = _stretched(recipe, chosen, epochs, changes)
    if data is None:
        raise InputError(f"say where {chosen.data.name} lies: --data DIR")
    folder = output or Path("runs") / chosen.name
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file; choose another --out")
    if folder.exists() and any(folder.iterdir()) and not (folder / FILE).exists():
        raise OutputError(f"{folder} exists and holds no run to resume; choose another --out")

    clips = open_dataset(data, split, layout)
    try:
        fabric = Fabric(accelerator=device, devices=devices, precision=chosen.precision)
        fabric.launch()
    except (RuntimeError, ValueError, ImportError) as exc:
        raise InputError(
            f"--device {device} cannot be had here ({str(exc).splitlines()[0]}); take cpu or auto"
        ) from exc
    network = starting_network(chosen, weights, imagenet, width)
    validation = _validation(data, val_split, layout, chosen, val_samples) if fabric.is_global_zero else None
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    batches = Batches(chosen, clips, workers)
    training = Training(
        chosen, network, batches, validation, fabric, LoopOptions(folder, save_every, max_steps, resume=not exist_ok)
    )
    if fabric.is_global_zero:
        kept = "resumes the run" if (folder / FILE).exists() else "run"
        told = f"{len(clips)} clips, {training.total} steps, seed {chosen.seed}, {kept} in {folder}"
        out.print(f"{chosen.title}: {told}", soft_wrap=True)
        if batches.left_out:
            warn(f"{len(batches.left_out)} photographs are left out, their maps are constant: {batches.left_out[:5]}")
    with StopRequest() as stop, _bar(fabric.is_global_zero) as bar:
        task = bar.add_task("training", total=training.total, loss="")

        def on_step(report: StepReport) -> None:
            bar.update(task, completed=report.progress.step, loss=f"loss {report.loss:.4g}")

        def on_epoch(epoch: int, scores: dict[str, float]) -> None:
            if training.unlabelled:
                warn(f"{training.unlabelled} frames so far had an empty or constant map and were left out of the loss")
            told = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
            bar.console.print(f"epoch {epoch}/{chosen.epochs} {told}")

        path = training.run(on_step, on_epoch, lambda: stop.requested)
    if fabric.is_global_zero:
        if training.step < training.total:
            told = f"--max-steps {max_steps}" if max_steps is not None and not stop.requested else "stopped"
            warn(f"step {training.step} of {training.total} ({told}): this is not a finished model")
        out.print(f"weights: {path}", soft_wrap=True)
        out.print(f"next:    sal-export {path} -o {path.with_suffix('.onnx')}", soft_wrap=True)
    if stop.requested:
        warn("stopped; the same command goes on from here")
        raise typer.Exit(130)


def _changes(
    start: str | None, batch: int | None, lr: float | None, imgsz: tuple[int, int] | None, seed: int | None,
    precision: str | None,
) -> dict[str, Any]:  # fmt: skip
    """The command line's values, nested as in a recipe."""
    changes: dict[str, Any] = {"start": start, "batch": batch, "seed": seed, "precision": precision}
    if lr is not None:
        changes["optimizer"] = {"lr": lr}
    if imgsz is not None:
        if any(side < 16 or side % 16 for side in imgsz):
            raise InputError(f"--imgsz {imgsz[0]} {imgsz[1]}: both sides must be multiples of 16")
        changes["data"] = {"size": imgsz}
    return {key: value for key, value in changes.items() if value is not None}


def _stretched(name: str, recipe: Recipe, epochs: int, changes: dict[str, Any]) -> Recipe:
    """The recipe with ``epochs`` in all, its phases in proportion, each at least one."""
    shares = [max(1, round(phase.epochs * epochs / recipe.epochs)) for phase in recipe.phases]
    shares[0] = max(1, epochs - sum(shares[1:]))
    phases = [{"epochs": n, "length": phase.length} for n, phase in zip(shares, recipe.phases, strict=True)]
    return load_recipe(name, {**changes, "phases": phases[:epochs]})


def _validation(data: Path, split: str, layout: str | None, recipe: Recipe, samples: int) -> Validation | None:
    """The look after each epoch; a dataset without that split is trained on without it."""
    if not split:
        return None
    try:
        return Validation(open_dataset(data, split, layout), recipe.data.size, samples)
    except SalError as exc:
        warn(f"no look at validation after each epoch: {exc}")
        return None


def _bar(shown: bool) -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    return Progress(
        *columns, TextColumn("{task.fields[loss]}"), TimeRemainingColumn(), console=err, transient=True,
        disable=not (shown and err.is_terminal),
    )  # fmt: skip


def _list_recipes() -> None:
    table = Table("recipe", "what it is", box=None, pad_edge=False)
    for name in shipped():
        table.add_row(name, load_recipe(name).title)
    out.print(table)
