"""The clock of every timing: monotonic, and able to wait for a moment more exactly than a sleep does."""

from __future__ import annotations

import time
from typing import Protocol

_SPIN = 0.0007
"""Seconds before the moment at which sleeping ends and looking at the clock begins."""


class Clock(Protocol):
    """What a scenario needs of time."""

    def now(self) -> float:
        """Seconds; never set back."""

    def wait_until(self, moment: float) -> None:
        """Return when ``now()`` has reached ``moment``."""


class Monotonic:
    """``time.perf_counter``."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.perf_counter()

    def wait_until(self, moment: float) -> None:
        """Sleep through most of it, then look: a sleep may overrun by more than a fast model takes."""
        while (left := moment - time.perf_counter()) > 0:
            if left > _SPIN:
                time.sleep(left - _SPIN)
