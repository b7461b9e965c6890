"""What a run leaves for people: losses and metrics as CSV and for TensorBoard, a picture of predictions each epoch.

A run that is resumed goes on in the same files: rows written after the kept state are removed first.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.atomic import writing
from sal_runtime.vision import cv2


class Records:
    """``losses.csv`` (a row a step), ``metrics.csv`` (a row an epoch), ``tensorboard/``, ``predictions/``."""

    def __init__(self, folder: Path, resume_after: int | None) -> None:
        """Open the files.

        Args:
            folder: of the run.
            resume_after: the last step that the kept state knows; None starts new files.
        """
        self._folder = folder
        for name in ("losses.csv", "metrics.csv"):
            path = folder / name
            if resume_after is None:
                path.unlink(missing_ok=True)
            else:
                _drop_after(path, resume_after)
        with writing(folder):
            purge = None if resume_after is None else resume_after + 1
            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=purge)

    def row(self, file: str, values: Mapping[str, float | int]) -> None:
        """Append a row to ``losses`` or ``metrics``; ``values`` begins with ``step``."""
        path = self._folder / f"{file}.csv"
        with writing(path):
            new = not path.exists()
            with path.open("a", newline="") as handle:
                writer = csv.DictWriter(handle, list(values))
                if new:
                    writer.writeheader()
                # repr keeps every digit: a resumed run can be compared bit for bit.
                writer.writerow({key: repr(value) for key, value in values.items()})
        for key, value in values.items():
            if key not in ("step", "epoch"):
                self._board.add_scalar(f"{file}/{key}", value, int(values["step"]))

    def picture(self, epoch: int, step: int, rows: Sequence[tuple[Pixels, Floats, Floats]]) -> None:
        """Keep frame, target and prediction of some samples, a row each."""
        lines = []
        for frame, target, prediction in rows:
            maps = [cv2.applyColorMap((255 * m / max(float(m.max()), 1e-6)).astype(np.uint8), cv2.COLORMAP_INFERNO)
                    for m in (target, prediction)]  # fmt: skip
            lines.append(np.hstack([frame, *maps]))
        image = np.vstack(lines)
        path = self._folder / "predictions" / f"epoch-{epoch:03d}.jpg"
        with writing(path):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(cv2.imencode(".jpg", image)[1].tobytes())
        self._board.add_image("predictions", image[:, :, ::-1], step, dataformats="HWC")

    def close(self) -> None:
        """Flush and close."""
        self._board.close()


def _drop_after(path: Path, step: int) -> None:
    """Remove the rows of later steps, and one that was cut in the middle."""
    if not path.exists():
        return
    with path.open(newline="") as handle:
        rows = list(csv.reader(handle))
    kept = [row for row in rows[1:] if len(row) == len(rows[0]) and int(row[0]) <= step] if rows else []
    with writing(path), path.open("w", newline="") as handle:
        csv.writer(handle).writerows([*rows[:1], *kept])
