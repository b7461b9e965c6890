"""The plots of a report: latency over time, its distribution, stages, and accuracy against latency."""

from __future__ import annotations

import math
from collections.abc import Callable

from sal_bench.content import ms
from sal_bench.report import Report, Run
from sal_bench.svg import WIDTH, Axis, Drawing, colour

_MOST_DOTS = 700
"""Dots a run; of more, the slowest in each stretch is drawn, so that no outlier is lost."""
_WORLDS = 8.0
"""Slowest over fastest from which a latency axis is logarithmic."""
_LEFT, _RIGHT = 52, WIDTH - 14


_FAMILIES = {"torch": "soft", "plain": "c0", "ours": "c1"}
"""Classes of peers' bars: who belongs together is what a reader looks for."""


def plots(report: Report) -> list[Drawing]:
    """Those that this report has something for."""
    drawn: list[Callable[[Report], Drawing | None]] = [overview, over_time, distribution, stages, accuracy]
    return [drawing for drawing in (draw(report) for draw in drawn) if drawing is not None]


def overview(report: Report) -> Drawing:
    """A bar a run: the median, with a line on to p95."""
    drawing = Drawing("Latency: bar to the median, line to p95", 50 + 34 * len(report.runs))
    slowest = max(run.latency.p50 for run in report.runs)
    top = min(max(run.latency.p95 for run in report.runs), 1.5 * slowest)
    axis = Axis(0.0, max(top, slowest) * 1.02, 8, _RIGHT - 50)
    bottom = drawing.height - 34
    drawing.bottom_axis(axis, bottom, "ms", 8)
    for number, run in enumerate(report.runs):
        y, s = 8 + 34 * number, run.latency
        drawing.text(8, y + 11, run.name)
        kind = _FAMILIES.get(str(run.settings.get("family")), colour(number))
        drawing.bar(8, y + 15, axis.at(s.p50) - 8, 13, kind, f"{run.name}: {ms(s.p50)} ms")
        end = axis.at(min(s.p95, axis.high))
        drawing.line(axis.at(s.p50), y + 21, end, y + 21, kind, 2)
        drawing.text(end + 5, y + 26, ms(s.p50))
    return drawing


def over_time(report: Report) -> Drawing:
    """A dot a sample; drift, throttling and outliers show here."""
    drawing = _with_legend("Latency over time", 240, report)
    end = max(turn.began + turn.seconds for run in report.runs for turn in run.rounds)
    x = Axis(0.0, end, _LEFT, _RIGHT)
    y = _latencies(report, 226, 26)
    drawing.bottom_axis(x, 226, "seconds", 26)
    drawing.left_axis(y, _LEFT, "ms (what is above, at the edge)", _RIGHT)
    for number, run in enumerate(report.runs):
        points = []
        for turn in run.rounds:
            pace = turn.seconds / len(turn.samples)
            points += [(turn.began + (i + 1) * pace, value) for i, value in enumerate(turn.samples)]
        stretch = math.ceil(len(points) / _MOST_DOTS)
        shown = [max(points[i : i + stretch], key=lambda p: p[1]) for i in range(0, len(points), stretch)]
        drawing.dots([(x.at(when), y.at(min(value, y.high))) for when, value in shown], colour(number))
    return drawing


def distribution(report: Report) -> Drawing:
    """How many of all samples are at most so slow."""
    drawing = _with_legend("Distribution: share of frames that took at most so long", 240, report)
    x = _latencies(report, _LEFT, _RIGHT)
    y = Axis(0.0, 100.0, 226, 26)
    drawing.bottom_axis(x, 226, "ms", 26)
    drawing.left_axis(y, _LEFT, "% of frames", _RIGHT)
    for number, run in enumerate(report.runs):
        ordered = sorted(run.samples)
        count = len(ordered)
        chosen = sorted({round(i * (count - 1) / min(300, count)) for i in range(min(300, count) + 1)})
        points = [(x.at(min(ordered[i], x.high)), y.at(100.0 * (i + 1) / count)) for i in chosen]
        drawing.path(points, colour(number), 2)
    return drawing


def stages(report: Report) -> Drawing | None:
    """A bar a run, divided into the medians of its stages."""
    names = list(dict.fromkeys(name for run in report.runs for name in run.stages))
    if not names:
        return None
    bottom = 12 + 34 * len(report.runs)
    drawing = Drawing("Stages: median of each", bottom + 40 + 16 * len(names))
    x = Axis(0.0, max(sum(run.stages.values()) for run in report.runs) * 1.02, 8, _RIGHT)
    drawing.bottom_axis(x, bottom, "ms", 8)
    for number, run in enumerate(report.runs):
        y, reached = 8 + 34 * number, 0.0
        drawing.text(8, y + 11, run.name)
        for name, value in run.stages.items():
            left, right = x.at(reached), x.at(reached + value)
            drawing.bar(left, y + 15, right - left, 13, colour(names.index(name)), f"{name}: {ms(value)} ms")
            reached += value
    drawing.legend(names, bottom + 42)
    return drawing


def accuracy(report: Report) -> Drawing | None:
    """Worst correlation with the fp32 network against the median: up and left is better."""
    points: list[tuple[int, Run, float]] = [
        (number, run, run.min_cc) for number, run in enumerate(report.runs) if run.min_cc is not None
    ]
    if not points:
        return None
    drawing = _with_legend("Accuracy against latency: up and left is better", 240, report)
    slowest = max(run.latency.p50 for _, run, _ in points)
    worst = min(min(cc for _, _, cc in points), 0.995)
    fastest = min(run.latency.p50 for _, run, _ in points)
    x, y = _scale(fastest, slowest * 1.05, _LEFT, _RIGHT), Axis(worst - (1.0 - worst) * 0.1, 1.0, 226, 26)
    drawing.bottom_axis(x, 226, "median ms", 26)
    drawing.left_axis(y, _LEFT, "least CC of a map", _RIGHT)
    for number, run, cc in points:
        drawing.dots([(x.at(run.latency.p50), y.at(cc))], colour(number), 11)
    return drawing


def _with_legend(title: str, height: float, report: Report) -> Drawing:
    """A drawing with the runs' names and colours below its plot of that height."""
    drawing = Drawing(title, height + 30 + 16 * len(report.runs))
    drawing.legend([run.name for run in report.runs], height + 32)
    return drawing


def _latencies(report: Report, start: float, end: float) -> Axis:
    """An axis for all samples: one wild sample must not press all others flat."""
    high = max(min(run.latency.max, 1.5 * run.latency.p99, 3.0 * run.latency.p50) for run in report.runs)
    return _scale(min(min(run.samples) for run in report.runs), high * 1.05, start, end)


def _scale(low: float, high: float, start: float, end: float) -> Axis:
    """From 0, or logarithmic where contestants are worlds apart."""
    low = max(low, 1e-3)
    return Axis(0.9 * low, high, start, end, log=True) if high > _WORLDS * low else Axis(0.0, high, start, end)
