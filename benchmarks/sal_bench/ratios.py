"""Ratios of two contestants' speed, with an interval from resampling rounds.

A round is the unit of noise: samples within it share the machine's mood, so that resampling single frames would promise
far too much. Contestants of one report alternate; their rounds are pairs and are resampled as pairs. Two reports share
nothing; each one's rounds are resampled by themselves.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

CONFIDENCE = 0.95
"""Of every interval."""
RESAMPLES = 4000
"""Bootstrap resamples."""
SEED = 0
"""Of the resampling, so that a report says the same whenever it is made."""
LEAST_ROUNDS = 6
"""Pairs from which an interval decides: with six, all on one side by chance happens once in 32, with five in 16."""

Verdict = Literal["faster", "slower", "undecided"]


@dataclass(frozen=True)
class Ratio:
    """How many times as fast one contestant is as another: the other's median over its own."""

    name: str
    """Whose speed."""
    against: str
    """Compared with whose."""
    ratio: float
    """Above 1: faster."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    rounds: int
    """Rounds, the lesser number of the two sides."""
    paired: bool
    """Whether the rounds alternated."""

    @property
    def verdict(self) -> Verdict:
        """``faster`` or ``slower`` where the interval leaves out 1 and there are rounds enough, else ``undecided``."""
        if self.rounds < LEAST_ROUNDS:
            return "undecided"
        return "faster" if self.low > 1.0 else "slower" if self.high < 1.0 else "undecided"


def paired_ratio(name: str, own: Sequence[float], against: str, other: Sequence[float]) -> Ratio:
    """From rounds that alternated; ``own[i]`` and ``other[i]`` (ms, medians) are of the same round.

    The ratio is the median of the rounds' ratios, so that a slow stretch of the machine, which hits both, drops out.
    """
    ratios = np.array([b / a for a, b in zip(own, other, strict=True)])
    picks = np.random.default_rng(SEED).integers(0, len(ratios), (RESAMPLES, len(ratios)))
    low, high = _interval(np.median(ratios[picks], axis=1))
    return Ratio(name, against, float(np.median(ratios)), low, high, len(ratios), True)


def independent_ratio(name: str, own: Sequence[float], against: str, other: Sequence[float]) -> Ratio:
    """From two reports: medians (ms) of each one's rounds, resampled apart; the ratio is that of their medians."""
    generator = np.random.default_rng(SEED)
    sides = []
    for values in (np.array(own), np.array(other)):
        picks = generator.integers(0, len(values), (RESAMPLES, len(values)))
        sides.append(np.median(values[picks], axis=1))
    low, high = _interval(sides[1] / sides[0])
    ratio = statistics.median(other) / statistics.median(own)
    return Ratio(name, against, ratio, low, high, min(len(own), len(other)), False)


def _interval(resampled: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    """The middle ``CONFIDENCE`` of the resampled values."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(resampled, [tail, 1.0 - tail]).tolist()
    return low, high
