"""Two evaluations of the same videos, video by video, as the paper's figure 3 does: A minus B.

The mean of the differences comes with an interval from the paired bootstrap: videos are drawn with replacement, both
models' values together, so that hard videos do not count as disagreement.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sal_runtime.errors import DataError
from sal_train.evaluation.report import TITLES, Evaluation
from sal_train.seeds import generator

METRICS = ("nss", "cc")
"""The metrics of figure 3."""

RESAMPLES, CONFIDENCE = 10_000, 0.95
"""Of the bootstrap."""

_AT_ONCE = 1 << 20
"""Draws that are held in memory at a time."""


@dataclass(frozen=True)
class Difference:
    """One metric over the videos where both evaluations define it."""

    metric: str
    """Such as ``nss``."""
    videos: tuple[str, ...]
    """Names, in the order of the dataset."""
    a: tuple[float, ...]
    """A's mean on each video."""
    b: tuple[float, ...]
    """B's mean on each video."""
    mean: float
    """Of the differences A - B."""
    low: float
    """Lower end of the interval of the mean."""
    high: float
    """Upper end of the interval of the mean."""
    median: float
    """Of the differences A - B."""
    left_out: int
    """Videos where either side does not define the metric."""

    @property
    def values(self) -> tuple[float, ...]:
        """A - B of each video."""
        return tuple(a - b for a, b in zip(self.a, self.b, strict=True))

    def wins(self) -> tuple[int, int, int]:
        """On how many videos A is ahead, B is ahead, and neither."""
        values = self.values
        ahead, behind = sum(v > 0 for v in values), sum(v < 0 for v in values)
        return ahead, behind, len(values) - ahead - behind


@dataclass(frozen=True)
class Comparison:
    """All metrics of one comparison."""

    a: str
    """What A is."""
    b: str
    """What B is."""
    dataset: str
    """On which both were evaluated."""
    differences: tuple[Difference, ...]
    """One a metric."""

    def to_csv(self) -> str:
        """One row a video and metric."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["metric", "video", "a", "b", "a_minus_b"])
        for found in self.differences:
            rows = zip(found.videos, found.a, found.b, found.values, strict=True)
            writer.writerows([found.metric, *row] for row in rows)
        return out.getvalue()

    def to_json(self) -> str:
        """Everything as one JSON document."""
        document = {
            **dataclasses.asdict(self),
            "confidence": CONFIDENCE,
            "differences": [
                {**dataclasses.asdict(found), "wins": dict(zip(("a", "b", "neither"), found.wins(), strict=True))}
                for found in self.differences
            ],
        }
        return json.dumps(document, indent=1, allow_nan=False)


def compare(
    a: Evaluation,
    b: Evaluation,
    alpha_a: float | None = None,
    alpha_b: float | None = None,
    *,
    names: tuple[str, str] = ("A", "B"),
    metrics: tuple[str, ...] = METRICS,
    seed: int = 0,
) -> Comparison:
    """Per-video differences A minus B.

    Args:
        a, b: two evaluations of the same videos and frames.
        alpha_a, alpha_b: which run to take of an evaluation with several alphas.
        names: of the files, for messages.
        metrics: which to compare.
        seed: of the bootstrap.

    Raises:
        DataError: other videos, another stride, no such alpha, or a metric that either lacks or nowhere defines.
    """
    for key, what in (("split", "split"), ("fingerprint", "videos")):
        if a.dataset[key] != b.dataset[key]:
            raise DataError(
                f"{names[0]} is of {_told(a)} and {names[1]} of {_told(b)}: not the same {what}; "
                "compare evaluations of the same videos"
            )
    if a.options.get("vid_stride") != b.options.get("vid_stride"):
        raise DataError(
            f"{names[0]} takes every {a.options.get('vid_stride')}. frame and {names[1]} every "
            f"{b.options.get('vid_stride')}.; evaluate both with the same --vid-stride"
        )
    run_a, run_b = a.run(alpha_a, names[0]), b.run(alpha_b, names[1])
    differences = []
    for metric in metrics:
        sides = []
        for evaluation, run, name in ((a, run_a, names[0]), (b, run_b, names[1])):
            if metric not in evaluation.metrics:
                raise DataError(f"{name}: has no {TITLES[metric]}; evaluate again with --metrics {metric}")
            sides.append({video.name: video.mean.as_dict()[metric] for video in run.scores.videos})
        differences.append(_difference(metric, sides[0], sides[1], seed))
    return Comparison(_label(a, run_a.alpha), _label(b, run_b.alpha), _told(a), tuple(differences))


def interval(values: npt.NDArray[np.float64], seed: int = 0) -> tuple[float, float]:
    """The bootstrap's percentile interval of the mean of ``values`` [n]."""
    rng = generator(seed)
    rows = max(1, _AT_ONCE // values.size)
    means = []
    for start in range(0, RESAMPLES, rows):
        count = min(rows, RESAMPLES - start)
        means.append(values[rng.integers(0, values.size, (count, values.size))].mean(axis=1))
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(np.concatenate(means), [tail, 1.0 - tail])
    return float(low), float(high)


def _difference(metric: str, a: dict[str, float], b: dict[str, float], seed: int) -> Difference:
    """One metric."""
    videos = [name for name in a if name in b and not math.isnan(a[name] - b[name])]
    if not videos:
        raise DataError(f"{TITLES[metric]} is defined on no video of both; there is nothing to compare")
    values = np.array([a[name] - b[name] for name in videos])
    low, high = interval(values, seed)
    ours, theirs = tuple(a[name] for name in videos), tuple(b[name] for name in videos)
    left_out = len(a.keys() | b.keys()) - len(videos)
    return Difference(
        metric, tuple(videos), ours, theirs, float(values.mean()), low, high, float(np.median(values)), left_out
    )


def _told(evaluation: Evaluation) -> str:
    """Such as ``DHF1K val (100 videos)``."""
    dataset = evaluation.dataset
    return f"{dataset['name']} {dataset['split']} ({dataset['videos']} videos)"


def _label(evaluation: Evaluation, alpha: float | None) -> str:
    """Such as ``salema30.onnx (salema30, alpha 0.1)``."""
    told = "" if alpha is None else f", alpha {alpha:g}"
    return f"{evaluation.model.get('file', '?')} ({evaluation.model['name']}{told})"
