"""Where results go. Every sink writes aside; files appear together, when all of them are whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sal_runtime.arrays import Floats
from sal_runtime.session import Step
from sal_runtime.sources import Frame


@dataclass(frozen=True)
class Result:
    """A frame, its map, and what happened on the way."""

    frame: Frame
    """As the source gave it."""
    saliency: Floats
    """float32 [H, W], 0 to 1, at the model's size; not to be changed."""
    step: Step
    """Carry, restarts and stage times."""
    position: int
    """How manieth result this is, from 0."""
    dropped: int
    """Frames that a live source lost before this one."""


class Sink(Protocol):
    """Something that keeps or shows results."""

    path: Path | None
    """Where the file will be, or None where nothing is kept."""

    def write(self, result: Result) -> None:
        """Take one result.

        Raises:
            OutputError: it cannot be written.
        """

    def finish(self) -> None:
        """Write what is left and close, still aside.

        Raises:
            OutputError: it could not be written whole.
        """

    def publish(self) -> None:
        """Let the finished file appear.

        Raises:
            OutputError: it cannot be renamed.
        """

    def discard(self) -> None:
        """Leave nothing behind; harmless after :meth:`publish`."""
