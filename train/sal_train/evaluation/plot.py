"""The picture of a comparison, after the paper's figure 3: for each metric a bar a video, up where A is ahead."""

from __future__ import annotations

from pathlib import Path

from sal_runtime.atomic import aside
from sal_runtime.console import needs_extra
from sal_runtime.errors import InputError
from sal_train.evaluation.compare import CONFIDENCE, Comparison
from sal_train.evaluation.report import TITLES

SUFFIXES = (".png", ".pdf", ".svg")
"""Kinds of picture that can be written."""

_LABELS = 24
"""Videos up to which each bar bears its name."""


def require_plot(path: Path) -> None:
    """Check what can be checked before any work is done.

    Raises:
        InputError: a kind of file that cannot be drawn.
        MissingDependency: no matplotlib.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path}: a plot ends in {', '.join(SUFFIXES)}")
    with needs_extra("train"):
        import matplotlib  # noqa: F401


def plot(comparison: Comparison, path: Path, exist_ok: bool = False) -> None:
    """Draw the comparison.

    Raises:
        InputError, MissingDependency: see :func:`require_plot`.
        OutputError: the file exists and is kept, or cannot be written.
    """
    require_plot(path)
    with needs_extra("train"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(11.0, 3.2 * len(comparison.differences) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)  # no window and no global state, whatever the display
    axes = figure.subplots(len(comparison.differences), 1, squeeze=False)[:, 0]
    for axis, found in zip(axes, comparison.differences, strict=True):
        places, values = range(len(found.videos)), found.values
        axis.bar(places, values, color=["tab:blue" if v >= 0 else "tab:orange" for v in values], width=0.8)
        axis.axhline(0.0, color="black", linewidth=0.8)
        axis.axhspan(found.low, found.high, color="tab:green", alpha=0.2, linewidth=0, zorder=0)
        axis.axhline(
            found.mean,
            color="tab:green",
            linewidth=1.2,
            label=f"mean {found.mean:+.3f}, {CONFIDENCE:.0%} interval {found.low:+.3f} to {found.high:+.3f}",
        )
        ahead, behind, _ = found.wins()
        axis.set_title(f"{TITLES[found.metric]}: A ahead on {ahead} videos, B on {behind}", fontsize=10)
        axis.set_ylabel("A - B")
        axis.margins(x=0.01)
        axis.legend(loc="best", fontsize=8)
        if len(found.videos) <= _LABELS:
            axis.set_xticks(places, found.videos, rotation=30, ha="right", fontsize=8)
        else:
            axis.set_xlabel("video, in the dataset's order")
    figure.suptitle(f"A: {comparison.a}\nB: {comparison.b}\non {comparison.dataset}", fontsize=9)
    with aside(path, exist_ok) as partial:
        figure.savefig(partial, dpi=150)
