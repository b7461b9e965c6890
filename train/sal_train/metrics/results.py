"""What an evaluation found: means per video and per dataset, as rows for people and as JSON and CSV for machines."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

from sal_runtime.errors import DataError
from sal_train.metrics.score import METRICS, Scores


@dataclass(frozen=True)
class VideoScores:
    """One video: the means of its frames."""

    name: str
    """The video's name in its dataset."""
    frames: int
    """How many frames were scored."""
    mean: Scores
    """Means over the frames where the metric is defined; NaN where it is on none."""
    left_out: dict[str, int]
    """For each metric on how many frames it was not defined (no fixation, a flat map)."""

    @classmethod
    def of(cls, name: str, frames: Iterable[Scores]) -> VideoScores:
        """Average the frames of one video."""
        rows = [frame.as_dict() for frame in frames]
        columns = {m: [row[m] for row in rows if m in row] for m in METRICS if any(m in row for row in rows)}
        left_out = {metric: sum(math.isnan(v) for v in values) for metric, values in columns.items()}
        return cls(name, len(rows), Scores(**{m: _mean(values) for m, values in columns.items()}), left_out)


@dataclass(frozen=True)
class DatasetScores:
    """All videos of one evaluation."""

    name: str
    """What was evaluated on what, such as ``salema30 on DHF1K val``."""
    videos: tuple[VideoScores, ...]
    """In the order of the dataset."""

    @property
    def frames(self) -> int:
        """How many frames were scored."""
        return sum(video.frames for video in self.videos)

    def frame_mean(self) -> Scores:
        """Mean over all frames: the benchmark's average, in which a long video counts for more."""
        means: dict[str, float] = {}
        for metric in self._metrics():
            pairs = [(v.frames - v.left_out[metric], v.mean.as_dict()[metric]) for v in self._with(metric)]
            total = sum(count for count, _ in pairs)
            means[metric] = math.fsum(n * value for n, value in pairs if n) / total if total else math.nan
        return Scores(**means)

    def video_mean(self) -> Scores:
        """Mean over the videos' means, the paper's average; videos where a metric is nowhere defined are left out."""
        return Scores(**{m: _mean([v.mean.as_dict()[m] for v in self._with(m)]) for m in self._metrics()})

    def left_out(self) -> dict[str, int]:
        """For each metric on how many frames it was not defined."""
        return {metric: sum(video.left_out[metric] for video in self._with(metric)) for metric in self._metrics()}

    def rows(self) -> list[dict[str, str | int | float]]:
        """One row a video, then ``frame mean`` and ``video mean``: name, frames, and a column a metric."""
        totals = [("frame mean", self.frames, self.frame_mean()), ("video mean", self.frames, self.video_mean())]
        table = [*((v.name, v.frames, v.mean) for v in self.videos), *totals]
        return [{"video": name, "frames": frames, **scores.as_dict()} for name, frames, scores in table]

    def to_csv(self) -> str:
        """The rows as CSV with a heading; an undefined value is an empty field."""
        out = io.StringIO()
        writer = csv.DictWriter(out, ["video", "frames", *self._metrics()], restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: "" if value != value else value for key, value in row.items()} for row in self.rows())
        return out.getvalue()

    def to_dict(self) -> dict[str, Any]:
        """Everything as a value that JSON can hold; an undefined value is None."""
        document = {
            "name": self.name,
            "frames": self.frames,
            "frame_mean": self.frame_mean().as_dict(),
            "video_mean": self.video_mean().as_dict(),
            "left_out": self.left_out(),
            "videos": [{**dataclasses.asdict(video), "mean": video.mean.as_dict()} for video in self.videos],
        }
        return cast(dict[str, Any], _without_nan(document))

    def to_json(self) -> str:
        """The same as one JSON document; an undefined value is null."""
        return json.dumps(self.to_dict(), indent=1, allow_nan=False)

    @classmethod
    def from_dict(cls, raw: Any, where: str = "the results") -> DatasetScores:
        """Read back what :meth:`to_dict` gave, such as to compare two evaluations; ``where`` names the file.

        Raises:
            DataError: it is no such document.
        """
        try:
            videos = tuple(
                VideoScores(
                    str(video["name"]),
                    int(video["frames"]),
                    Scores(**{m: math.nan if v is None else float(v) for m, v in video["mean"].items()}),
                    {metric: int(count) for metric, count in video["left_out"].items()},
                )
                for video in raw["videos"]
            )
            return cls(str(raw["name"]), videos)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise not_an_evaluation(where, exc) from exc

    @classmethod
    def from_json(cls, text: str, where: str = "the results") -> DatasetScores:
        """The same from JSON.

        Raises:
            DataError: the text is no such document.
        """
        try:
            return cls.from_dict(json.loads(text), where)
        except ValueError as exc:
            raise not_an_evaluation(where, exc) from exc

    def _metrics(self) -> list[str]:
        """The metrics that any video has, in the order of every table."""
        return [metric for metric in METRICS if self._with(metric)]

    def _with(self, metric: str) -> list[VideoScores]:
        """The videos for which a metric was asked."""
        return [video for video in self.videos if metric in video.left_out]


def not_an_evaluation(where: str, reason: object) -> DataError:
    """The error for a file that sal-eval did not write."""
    return DataError(f"{where}: not the JSON of an evaluation ({reason}); make it again with sal-eval")


def _mean(values: list[float]) -> float:
    """Mean of the values that are numbers, NaN where there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan


def _without_nan(value: Any) -> Any:
    """A JSON document with null for NaN, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_without_nan(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
