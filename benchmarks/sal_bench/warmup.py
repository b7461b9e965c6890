"""Warming up: by time and by stability, within a bound.

Caches, memory pools, clocks and just-in-time compilers settle at their own pace. A number of frames fits none of them;
so steps are run for a while, and then until the medians of the last few windows agree.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from sal_bench.clock import Clock
from sal_bench.report import Warmup

SECONDS = 1.0
"""Least time."""
WINDOW = 8
"""Steps a window."""
WINDOWS = 3
"""Windows that must agree."""
WITHIN = 0.05
"""By how much their medians may differ."""
PATIENCE = 20.0
"""Times the least time after which it ends without stability; a window is always finished."""


def warm_up(step: Callable[[], object], clock: Clock, seconds: float = SECONDS) -> Warmup:
    """Run ``step`` until it is warm.

    Args:
        step: one step, untimed by itself.
        clock: to time it.
        seconds: least time; :data:`PATIENCE` times as much is the most.
    """
    began = clock.now()
    medians: list[float] = []
    frames = 0
    while True:
        window = []
        for _ in range(WINDOW):
            before = clock.now()
            step()
            window.append(clock.now() - before)
        frames += WINDOW
        medians.append(statistics.median(window))
        last, elapsed = medians[-WINDOWS:], clock.now() - began
        spread = max(last) / min(last) - 1.0 if len(last) == WINDOWS and min(last) > 0 else float("inf")
        stable = spread <= WITHIN
        enough = elapsed >= seconds and len(last) == WINDOWS
        if enough and (stable or elapsed >= PATIENCE * seconds):
            return Warmup(frames, elapsed, stable, spread if spread != float("inf") else 0.0)
