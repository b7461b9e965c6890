"""Results for people: tables in the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from sal_train.evaluation.compare import CONFIDENCE, Comparison, Difference
from sal_train.evaluation.report import TITLES, Evaluation, Run
from sal_train.evaluation.tables import PaperTable
from sal_train.metrics import PAPER, Scores

OURS = "◄ ours"
"""Marks our rows in a table of the paper."""


def show(evaluation: Evaluation, console: Console) -> None:
    """Both averages, a row an alpha, and below what was left out of them and why."""
    model, dataset = evaluation.model, evaluation.dataset
    height, width = model["imgsz"]
    console.print(
        f"{evaluation.title}: {model['file']}, {model['precision']}, {height}x{width}, {model['engine']}",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, header_style="dim")
    with_alpha = any(run.alpha is not None for run in evaluation.runs)
    for heading in (["alpha"] if with_alpha else []) + ["average over"]:
        table.add_column(heading)
    for metric in evaluation.metrics:
        table.add_column(TITLES[metric], justify="right")
    for average, means in _AVERAGES.items():
        for run in evaluation.runs:
            scores = means(run).as_dict()
            first = [_alpha(run)] if with_alpha else []
            table.add_row(*first, average, *(_number(scores.get(metric)) for metric in evaluation.metrics))
        table.add_section()
    _print(console, table)
    for line in _notes(evaluation):
        console.print(Text(line, style="dim"), soft_wrap=True)
    stride = evaluation.options["vid_stride"]
    taken = f", every {stride}. frame" if stride > 1 else ""
    console.print(Text(f"{dataset['videos']} videos, {_frames(evaluation)} frames{taken}", style="dim"), soft_wrap=True)


def show_beside(evaluation: Evaluation, paper: PaperTable, console: Console) -> None:
    """A table of the paper with our rows last; both are averages per video."""
    told = f"Table {paper.number} of the paper: {paper.caption}, on {paper.dataset}; ours: {evaluation.title}"
    console.print(told, soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    for key in paper.keys:
        table.add_column(key)
    for metric in PAPER:
        table.add_column(TITLES[metric], justify="right")
    table.add_column("")
    for keys, values in paper.rows:
        table.add_row(*keys, *map(_number, values), "")
    for run in evaluation.runs:
        scores = run.scores.video_mean().as_dict()
        ours = [_number(scores.get(metric)) for metric in PAPER]
        table.add_row(*_keys(evaluation, run, paper), *ours, OURS, style="bold")
    _print(console, table)


def show_comparison(comparison: Comparison, console: Console) -> None:
    """The differences A - B, a column a metric."""
    console.print(f"A: {comparison.a}\nB: {comparison.b}\non {comparison.dataset}", soft_wrap=True)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    for found in comparison.differences:
        table.add_column(TITLES[found.metric], justify="right")
    columns = [_told(found) for found in comparison.differences]
    for name in columns[0]:
        table.add_row(name, *(column[name] for column in columns))
    _print(console, table)


def _told(found: Difference) -> dict[str, str]:
    """One metric of a comparison, top to bottom."""
    a_wins, b_wins, equal = found.wins()
    return {
        "A": _number(math.fsum(found.a) / len(found.a)),
        "B": _number(math.fsum(found.b) / len(found.b)),
        "A - B, mean": f"{found.mean:+.3f}",
        f"  {CONFIDENCE:.0%} interval (paired bootstrap)": f"{found.low:+.3f} to {found.high:+.3f}",
        "A - B, median": f"{found.median:+.3f}",
        "videos on which A is ahead": str(a_wins),
        "videos on which B is ahead": str(b_wins),
        "videos on which they are equal": str(equal),
        "videos left out, not defined there": str(found.left_out),
    }


_AVERAGES: dict[str, Callable[[Run], Scores]] = {
    "videos (paper)": lambda run: run.scores.video_mean(),
    "frames (benchmark)": lambda run: run.scores.frame_mean(),
}


def _notes(evaluation: Evaluation) -> list[str]:
    """What was left out, and why; once where all alphas agree."""
    lines = [(_alpha(run), _left_out(run)) for run in evaluation.runs]
    if len({line for _, line in lines}) == 1:
        return [line for _, line in lines[:1] if line]
    return [f"alpha {alpha}: {line}" for alpha, line in lines if line]


def _left_out(run: Run) -> str:
    """One line for one run; nothing where nothing was left out."""
    counted = {metric: count for metric, count in run.scores.left_out().items() if count}
    if not counted:
        return ""
    told = ", ".join(f"{TITLES[metric]} {count}" for metric, count in counted.items())
    why = ", ".join(f"{reason} {count}" for reason, count in run.left_out.items() if count)
    return f"frames left out: {told}; because: {why or 'not defined there'}"


def _keys(evaluation: Evaluation, run: Run, paper: PaperTable) -> list[str]:
    """Our entries in the columns before the metrics."""
    name = str(evaluation.model["name"])
    alpha = "" if run.alpha is None or len(evaluation.runs) == 1 else f", alpha {run.alpha:g}"
    ours = {
        "model": name + alpha,
        "tuned on DHF1K": "?",
        "dataset": f"{evaluation.dataset['name']} {evaluation.dataset['split']}",
        "alpha": _alpha(run) if run.alpha is not None else name,
    }
    return [ours[key] for key in paper.keys]


def _print(console: Console, table: Table) -> None:
    """The table at its own width: a number cut off because the terminal is narrow, or a pipe, would be a wrong one."""
    width = Measurement.get(console, console.options.update(width=1000), table).maximum
    Console(file=console.file, width=max(width, console.width), highlight=False).print(table)


def _frames(evaluation: Evaluation) -> int:
    return evaluation.runs[0].scores.frames if evaluation.runs else 0


def _alpha(run: Run) -> str:
    return "" if run.alpha is None else f"{run.alpha:g}"


def _number(value: float | None) -> str:
    """Three decimals, as in the paper; a dash where there is no value."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"
