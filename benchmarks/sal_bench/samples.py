"""What a list of latencies says: percentiles, and how many samples each of them needs.

A tail percentile is an observed sample (nearest rank), never a value between two; p50 is the ordinary median. The
numbers of samples are those of MLPerf's single-stream rule (90th percentile over at least 64, 99th over at least 662).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from sal_runtime.errors import InputError

LEAST_P90 = 64
"""Samples from which a 90th or 95th percentile is claimed."""
LEAST_P99 = 662
"""Samples from which a 99th percentile is claimed."""


@dataclass(frozen=True)
class Latency:
    """A summary of samples, in milliseconds."""

    n: int
    """How many samples."""
    p50: float
    """The median."""
    p90: float
    """Nearest rank, like the two that follow."""
    p95: float
    p99: float
    max: float
    """The slowest."""
    mean: float
    """Of all."""

    @classmethod
    def of(cls, samples: Sequence[float]) -> Latency:
        """The summary of ``samples`` (ms).

        Raises:
            InputError: there are none.
        """
        if not samples:
            raise InputError("no frame was timed, so there is no latency to tell; ask for more frames")
        p90, p95, p99 = (nearest_rank(samples, share) for share in (0.90, 0.95, 0.99))
        return cls(
            len(samples), statistics.median(samples), p90, p95, p99, max(samples), math.fsum(samples) / len(samples)
        )

    @property
    def claims_p90(self) -> bool:
        """Whether p90 and p95 rest on enough samples."""
        return self.n >= LEAST_P90

    @property
    def claims_p99(self) -> bool:
        """Whether p99 rests on enough samples."""
        return self.n >= LEAST_P99


def nearest_rank(samples: Sequence[float], share: float) -> float:
    """The smallest sample that at least ``share`` (above 0, at most 1) of all samples do not exceed."""
    ordered = sorted(samples)
    # The share is a decimal fraction: 0.95 * 20 must be 19, whatever binary makes of it.
    return ordered[math.ceil(round(share * len(ordered), 9)) - 1]
