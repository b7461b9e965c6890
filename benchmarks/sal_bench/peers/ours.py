"""Ours: an artifact in a session, as ``sal-run`` steps it, its own checks and resizing included."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.engine import Engine


class OurStepper:
    """A session of one stream."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine.name
        self._session = engine.stream(1)

    def step(self, frame: Pixels) -> Floats:
        """See :class:`sal_bench.peers.stepper.Stepper`."""
        return self._session.step(frame)

    def restart(self) -> None:
        """Forget."""
        self._session.reset()


def open_ours(path: Path, threads: int | None, **options: Any) -> OurStepper:
    """The artifact in one of our backends; ``options`` are those of ``Engine.open``.

    Raises:
        SalError: this installation has no such backend, or it does not know what was asked.
    """
    return OurStepper(Engine.open(path, threads=threads, **options))
