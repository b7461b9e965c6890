"""One JSON object a line and frame: when it was, how the state was carried, how long each stage took."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

from sal_runtime import atomic
from sal_runtime.sinks import Result


class JsonLines:
    """Stage times are in milliseconds; ``peak`` is where the map is strongest, as parts of width and height."""

    def __init__(self, path: Path, exist_ok: bool) -> None:
        self.path: Path | None = path
        self._final = path
        self._partial = atomic.claim(path, exist_ok)
        with atomic.writing(path):
            self._file = self._partial.open("w", encoding="utf-8")

    def write(self, result: Result) -> None:
        """Append one line."""
        with atomic.writing(self._final):
            self._file.write(line_of(result))

    def finish(self) -> None:
        """Write what is buffered."""
        with atomic.writing(self._final):
            self._file.close()

    def publish(self) -> None:
        """Let the file appear."""
        atomic.publish(self._partial, self._final)

    def discard(self) -> None:
        """Remove what was written aside."""
        with contextlib.suppress(OSError):  # a full disk refuses the last flush of what is given up anyway
            self._file.close()
        atomic.discard(self._partial)


def stages(result: Result) -> dict[str, float]:
    """Seconds that a frame spent in each stage before it was published."""
    return {"decode": result.frame.decode, "prepare": result.step.prepare, "compute": result.step.compute}


class JsonPrinter:
    """The same on standard output as it happens, for a pipe or a service's journal."""

    path: Path | None = None

    def write(self, result: Result) -> None:
        """Print one line at once."""
        sys.stdout.write(line_of(result))
        sys.stdout.flush()

    def finish(self) -> None:
        """Every line is out already."""

    def publish(self) -> None:
        """Nothing has to appear."""

    def discard(self) -> None:
        """What was printed stays printed."""


def line_of(result: Result) -> str:
    """A frame's object, with its line's end."""
    height, width = result.saliency.shape
    y, x = divmod(int(result.saliency.argmax()), width)
    line = {
        "index": result.frame.index,
        "timestamp": round(result.frame.timestamp, 6),
        "carry": round(result.step.carry[0], 6),
        "restart": result.step.restarts[0],
        "dropped": result.dropped,
        "peak": {
            "x": round((x + 0.5) / width, 4),
            "y": round((y + 0.5) / height, 4),
            "value": round(float(result.saliency[y, x]), 5),
        },
        "mean": round(float(result.saliency.mean()), 6),
        "ms": {name: round(seconds * 1000.0, 3) for name, seconds in stages(result).items()},
    }
    return json.dumps(line) + "\n"
