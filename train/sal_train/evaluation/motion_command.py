"""``sal-eval motion``: what the recurrence is worth, on clips whose motion is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from sal_runtime.arrays import Floats
from sal_runtime.atomic import aside, claim
from sal_runtime.console import bar_over, needs_extra, out
from sal_runtime.engine import Engine
from sal_runtime.errors import DataError, InputError
from sal_runtime.vision import cv2
from sal_train.data import open_dataset
from sal_train.evaluation.model import open_model
from sal_train.evaluation.motion import NOISE, Comparison, MovingClip, compare, maps_of, moving_clips, picture
from sal_train.evaluation.plot import require_plot

KINDS = 3
"""Clips of each photograph: the camera pans, nothing moves, an object crosses."""


def motion(
    model: Annotated[Path | None, typer.Argument(help="Artifact or checkpoint; default: the one that ships.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of photographs with fixations.")] = None,
    split: Annotated[str, typer.Option(help="train, val, test, or a folder's name.")] = "val",
    photographs: Annotated[int, typer.Option(min=1, help="How many are made into clips.")] = 20,
    frames: Annotated[int, typer.Option(min=20, help="Of a clip, at 30 a second.")] = 60,
    config: Annotated[str | None, typer.Option(help="Of a checkpoint, as in score.")] = None,
    backend: Annotated[str, typer.Option(help="Of an artifact, as in score.")] = "auto",
    seed: Annotated[int, typer.Option(min=0, help="Of motion and noise.")] = 0,
    save_json: Annotated[Path | None, typer.Option("--json", help="Keep the numbers.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw maps over time: .svg, .png or .pdf.")] = None,
    strip: Annotated[Path | None, typer.Option("--picture", help="Frames and maps of a clip (.png, .jpg).")] = None,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Overwrite files that exist.")] = False,
) -> None:
    """Is it steadier with its state, and does it follow? Clips made of photographs, their motion known."""
    if data is None:
        raise InputError("say where photographs with fixations lie: --data DIR")
    if plot is not None:
        require_plot(plot)
    if strip is not None and strip.suffix.lower() not in (".png", ".jpg"):
        raise InputError(f"{strip}: a picture ends in .png or .jpg")
    for path in filter(None, (save_json, plot, strip)):
        claim(path, exist_ok)
    opened = open_model(model, config=config, backend=backend)
    engine, manifest = opened.engine, opened.manifest
    with engine:
        if not manifest.states:
            raise InputError(f"{opened.file}: {manifest.model} has no recurrence to measure")
        clips = open_dataset(data, split)
        if any(clip.fixation_maps is None for clip in clips):
            raise DataError(
                f"{data}: has no fixations, by which following is measured; add them, or take other photographs"
            )
        made = list(moving_clips(clips, manifest.frame_size, photographs, frames, seed))
        with bar_over("clips", len(made)) as on_clip:
            found = compare(engine, iter(made), on_clip)
        out.print(_table(opened.file, found))
        crossing = next(clip for clip in made if clip.kind == "object")
        if save_json is not None:
            record = {"model": opened.record(), "frames": frames, "noise": NOISE, "seed": seed,
                      "results": [dataclasses.asdict(entry) for entry in found]}  # fmt: skip
            with aside(save_json, exist_ok) as partial:
                partial.write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
        if plot is not None:
            _plot(engine, crossing, plot, exist_ok)
        if strip is not None:
            image = cv2.imencode(strip.suffix, picture(engine, crossing))[1]
            with aside(strip, exist_ok) as partial:
                partial.write_bytes(image.tobytes())
    for path in filter(None, (save_json, plot, strip)):
        out.print(f"saved {path}", soft_wrap=True)


def _table(file: str, found: Sequence[Comparison]) -> Table:
    table = Table(
        title=f"{file}: each frame alone, then with the state", box=None, pad_edge=False, title_justify="left"
    )
    for column in ("clips", "n", "change alone", "with state", "", "NSS alone", "with state"):
        table.add_column(column, justify="left" if column == "clips" else "right")
    for entry in found:
        less = f"{entry.change / entry.change_alone - 1.0:+.0%}"
        nss = (f"{entry.nss_alone:.3f}", f"{entry.nss:.3f}")
        table.add_row(entry.kind, str(entry.clips), f"{entry.change_alone:.4f}", f"{entry.change:.4f}", less, *nss)
    return table


def _plot(engine: Engine, clip: MovingClip, path: Path, exist_ok: bool) -> None:
    """The object's place and the map's strongest place over time, and how much the map changes from frame to frame."""
    with needs_extra("train"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(8.0, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    place, change = figure.subplots(2, 1, sharex=True)
    truth = [float(np.argwhere(t)[:, 1].mean()) for t in clip.truth]
    place.plot(truth, color="black", linewidth=1.5, label="the object")
    for label, state, colour in (("each frame alone", False, "tab:orange"), ("with the state", True, "tab:blue")):
        maps = maps_of(engine, clip.frames, state)
        place.plot(_strongest_column(maps), ".-", color=colour, markersize=4, linewidth=0.8, label=label)
        steps = np.abs(np.diff(maps, axis=0)).mean(axis=(1, 2)) / maps[1:].mean(axis=(1, 2))
        change.plot(range(1, len(maps)), steps, color=colour, linewidth=1.2, label=label)
    place.set_ylabel("column of the map's\nstrongest place")
    change.set_ylabel("mean change from the map\nbefore, of the map's mean")
    change.set_xlabel("frame, 30 a second")
    change.set_ylim(bottom=0.0)
    for axis in (place, change):
        axis.legend(loc="best", fontsize=8)
        axis.grid(alpha=0.3)
    with aside(path, exist_ok) as partial:
        figure.savefig(partial, dpi=110)


def _strongest_column(maps: Floats) -> list[int]:
    return [int(m.argmax()) % m.shape[1] for m in maps]
