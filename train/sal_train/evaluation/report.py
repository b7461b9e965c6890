"""What an evaluation found, as one value: it is printed, kept as JSON and CSV, read back, compared."""

from __future__ import annotations

import csv
import hashlib
import importlib.metadata
import io
import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sal_runtime.atomic import aside
from sal_runtime.errors import DataError
from sal_train.data import Clip
from sal_train.metrics import METRICS, DatasetScores
from sal_train.metrics.results import not_an_evaluation

VERSION = 1
"""The version of the JSON that this code writes and the only one it reads."""

NO_FIXATION, NO_MAP, FLAT = "no fixation", "map empty or constant", "prediction without contrast"
"""Why metrics are not defined on a frame: it is left out of their means, and counted."""

TITLES = dict(zip(METRICS, ("AUC-J", "sAUC", "NSS", "CC", "SIM", "KL", "IG"), strict=True))
"""How the metrics are called in print."""


@dataclass(frozen=True)
class Run:
    """One pass over the dataset with one alpha."""

    alpha: float | None
    """The EMA's alpha that was in effect; None for a network without."""
    scores: DatasetScores
    """Per video, and their means."""
    left_out: dict[str, int]
    """Why frames were left out of some metrics, and how many."""


@dataclass(frozen=True)
class Evaluation:
    """One model on one split, with one or several alphas."""

    model: dict[str, Any]
    """From ``Model.record``."""
    dataset: dict[str, Any]
    """From :func:`dataset_record`."""
    options: dict[str, Any]
    """How it was done."""
    runs: tuple[Run, ...]
    """In the order the alphas were asked for."""
    versions: dict[str, str]
    """Of what took part."""

    @property
    def title(self) -> str:
        """Such as ``salema30 on DHF1K val``."""
        return f"{self.model['name']} on {self.dataset['name']} {self.dataset['split']}"

    @property
    def metrics(self) -> list[str]:
        """What was computed, in the order of every table."""
        return [metric for metric in METRICS if metric in self.options["metrics"]]

    def run(self, alpha: float | None = None, where: str = "the results") -> Run:
        """The run of an alpha, or the only one.

        Raises:
            DataError: there is none, or there are several and none was named.
        """
        found = [run for run in self.runs if alpha is None or (run.alpha is not None and abs(run.alpha - alpha) < 1e-6)]
        if len(found) == 1:
            return found[0]
        there = ", ".join("none" if run.alpha is None else f"{run.alpha:g}" for run in self.runs)
        told = "name one of its alphas" if alpha is None else f"it has no alpha {alpha:g}"
        raise DataError(f"{where}: {told}; there are {there}")

    def to_json(self) -> str:
        """Everything as one JSON document; an undefined value is null."""
        runs = [{"alpha": r.alpha, "left_out_because": r.left_out, "scores": r.scores.to_dict()} for r in self.runs]
        document = {
            "sal_eval": VERSION,
            "model": self.model,
            "dataset": self.dataset,
            "options": self.options,
            "versions": self.versions,
            "runs": runs,
        }
        return json.dumps(document, indent=1, allow_nan=False)

    def to_csv(self) -> str:
        """One row a video, then the two means, for every alpha in turn; an undefined value is an empty field."""
        out = io.StringIO()
        writer = csv.DictWriter(out, ["alpha", "video", "frames", *self.metrics], restval="", lineterminator="\n")
        writer.writeheader()
        for run in self.runs:
            for row in run.scores.rows():
                told = {key: "" if value != value else value for key, value in row.items()}
                writer.writerow({"alpha": "" if run.alpha is None else run.alpha, **told})
        return out.getvalue()

    @classmethod
    def from_json(cls, text: str, where: str = "the results") -> Evaluation:
        """Read back what :meth:`to_json` wrote; ``where`` names the file.

        Raises:
            DataError: the text is no such document, or of another version.
        """
        try:
            raw = json.loads(text)
            version = raw["sal_eval"]
            if version != VERSION:
                raise DataError(
                    f"{where}: version {version!r} is not {VERSION}, the one this sal-eval reads; make it again"
                )
            runs = tuple(
                Run(
                    None if run["alpha"] is None else float(run["alpha"]),
                    DatasetScores.from_dict(run["scores"], where),
                    {str(reason): int(count) for reason, count in run["left_out_because"].items()},
                )
                for run in raw["runs"]
            )
            found = cls(dict(raw["model"]), dict(raw["dataset"]), dict(raw["options"]), runs, dict(raw["versions"]))
            _ = found.title, found.metrics, found.dataset["fingerprint"]
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            raise not_an_evaluation(where, f"{type(exc).__name__}: {exc}") from exc
        return found

    @classmethod
    def read(cls, path: Path) -> Evaluation:
        """Read a file.

        Raises:
            DataError: it is absent, or no evaluation.
        """
        try:
            return cls.from_json(path.read_text(encoding="utf-8"), str(path))
        except OSError as exc:
            raise DataError(f"{path}: cannot be read ({exc.strerror}); sal-eval --json makes one") from exc
        except UnicodeDecodeError as exc:
            raise not_an_evaluation(str(path), exc) from exc


def write_text(path: Path, text: str, exist_ok: bool) -> None:
    """Write a file, whole or not at all.

    Raises:
        OutputError: it exists and is kept, or cannot be written.
    """
    with aside(path, exist_ok) as partial:
        partial.write_text(text, encoding="utf-8")


def dataset_record(root: Path, split: str, layout: str | None, clips: Sequence[Clip]) -> dict[str, Any]:
    """What a file of results says of the dataset: enough to know the same videos again, wherever they lie."""
    return {
        "name": root.resolve().name,
        "split": split,
        "layout": layout,
        "videos": len(clips),
        "frames": sum(clip.frames for clip in clips),
        "fingerprint": fingerprint(clips),
    }


def fingerprint(clips: Sequence[Clip]) -> str:
    """A hash of every clip's name, number of frames and first label: the same for copies, not for look-alikes.

    Raises:
        DataError: a label that cannot be read.
    """
    digest = hashlib.sha256()
    for clip in clips:
        digest.update(f"{clip.name}\0{clip.frames}\0".encode())
        label = clip.fixation_maps or clip.maps
        if label is not None:
            try:
                digest.update(label[0].read_bytes())
            except OSError as exc:
                raise DataError(f"{label[0]}: cannot be read ({exc.strerror}); fetch the file again") from exc
    return digest.hexdigest()[:16]


def versions() -> dict[str, str]:
    """Of Python and of the packages that can move a number."""
    found = {"python": platform.python_version()}
    for package in ("sal-edge", "numpy", "opencv-python", "opencv-python-headless", "torch"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
