"""Metrics that ask for the prediction's value at fixated pixels: AUC-Judd, shuffled AUC, NSS and information gain.

By the DHF1K benchmark's definitions. Maps are [H, W] of one size; a fixated pixel is one that is not zero. No fixation,
or a prediction without contrast, gives NaN, which the averages leave out and count.
"""

from __future__ import annotations

import math
import threading

import numpy as np
import numpy.typing as npt

from sal_runtime.arrays import AnyArray
from sal_runtime.errors import InputError
from sal_train.metrics.distribution import EPSILON, deviation, flat, mean

JITTER = 1e-7
"""Height of the noise that parts equal values before AUC-Judd."""

SPLITS, STEP = 100, 0.1
"""Shuffled AUC: how many samples of the other fixations are drawn, and the distance of its thresholds."""


class _Scratch(threading.local):
    """A vector that each thread keeps from one frame to the next: fresh memory for every frame holds up the others."""

    def __init__(self) -> None:
        self.vector = np.empty(0)

    def doubles(self, size: int) -> npt.NDArray[np.float64]:
        """A vector of any content, to be used until the next call."""
        if self.vector.size != size:
            self.vector = np.empty(size)
        return self.vector


_scratch = _Scratch()


def auc_judd(prediction: AnyArray, fixations: AnyArray, rng: np.random.Generator | None = None) -> float:
    """Area under the curve of fixated against other pixels, with a threshold at every fixated value; 0 to 1.

    Args:
        prediction: [H, W].
        fixations: [H, W], not zero where somebody looked.
        rng: gives the noise that parts equal values (8-bit maps are full of them, and they move the result by 0.01 and
            more). None leaves it out.
    """
    values, at = _pair(prediction, fixations)
    if not at.size or flat(values):
        return math.nan
    ranked = _scratch.doubles(values.size)
    if rng is None:
        ranked[:] = 0.0
    else:
        rng.random(out=ranked)
        ranked *= JITTER
    ranked += values
    # The benchmark stretches the map to 0..1 here. Only the order of the values matters, so it can be left out.
    thresholds = np.sort(ranked[at])[::-1]
    ranked.sort()
    above = values.size - np.searchsorted(ranked, thresholds, side="left")
    hits = np.arange(1, at.size + 1)
    false = (above - hits) / max(values.size - at.size, 1)
    return float(_area(false, hits / at.size))


def auc_shuffled(prediction: AnyArray, fixations: AnyArray, others: AnyArray, rng: np.random.Generator) -> float:
    """Area under the curve of this frame's fixations against those of other frames; 0 to 1.

    The mean over 100 samples of ``n = min(fixations, others)`` of the other fixations, thresholds 0, 0.1, … of the map
    stretched to 0..1. Between two thresholds only the number of values counts, so the samples are drawn as numbers per
    threshold (multivariate hypergeometric): the same distribution as a shuffled list, without shuffling.

    Args:
        prediction: [H, W].
        fixations: [H, W], not zero where somebody looked at this frame.
        others: [H, W], not zero where somebody looked at another frame (see ``others.py``).
        rng: draws the samples. With n = all of the others there is nothing to draw.
    """
    values, at = _pair(prediction, fixations)
    _, elsewhere = _pair(prediction, others)
    if not at.size or not elsewhere.size or flat(values):
        return math.nan
    lowest = float(values.min())
    span = float(values.max()) - lowest
    hits = _reaching((values[at].astype(np.float64) - lowest) / span)
    reach = _reaching((values[elsewhere].astype(np.float64) - lowest) / span)
    count = min(at.size, elsewhere.size)
    if count < elsewhere.size:
        # From how many reach each threshold to how many lie between it and the next higher one; draw; and back.
        reach = rng.multivariate_hypergeometric(np.diff(reach, prepend=0), count, size=SPLITS).cumsum(axis=1)
    return float(_area(reach / count, hits / at.size).mean())


def nss(prediction: AnyArray, fixations: AnyArray) -> float:
    """Mean of the standardised prediction at fixated pixels; the standard deviation has N - 1, as MATLAB's."""
    values, at = _pair(prediction, fixations)
    if not at.size or flat(values):
        return math.nan
    return (mean(values[at]) - mean(values)) / deviation(values)


def information_gain(prediction: AnyArray, fixations: AnyArray, baseline: AnyArray) -> float:
    """Bits a fixation that the prediction knows more than ``baseline`` [H, W] does.

    Both are stretched to 0..1 and divided by their sums first; NaN where either is flat.
    """
    values, at = _pair(prediction, fixations)
    before, _ = _pair(baseline, fixations)
    if not at.size or flat(values) or flat(before):
        return math.nan
    return float(np.mean(np.log2(EPSILON + _share_at(values, at)) - np.log2(EPSILON + _share_at(before, at))))


def _area(false: npt.NDArray[np.float64], true: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Trapezoids under curves [..., n] from (0, 0) to (1, 1), with rates that rise along the last axis."""
    rows = np.broadcast_to(true, false.shape)
    steps = np.diff(false, axis=-1, prepend=0.0, append=1.0)
    ends = np.zeros_like(rows[..., :1])
    heights = np.concatenate([ends, rows, ends + 1.0], axis=-1)
    area: npt.NDArray[np.float64] = np.einsum("...i,...i->...", steps, (heights[..., 1:] + heights[..., :-1]) / 2.0)
    return area


def _reaching(values: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """How many values reach each threshold 0.1 k, the highest threshold first: [11] for values within 0..1."""
    thresholds = np.arange(round(1.0 / STEP), -1, -1) * STEP
    return values.size - np.searchsorted(np.sort(values), thresholds, side="left")


def _share_at(values: AnyArray, at: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """What the map, stretched to 0..1 and divided by its sum, holds at some of its pixels."""
    lowest = float(values.min())
    share: npt.NDArray[np.float64] = (values[at] - lowest) / ((mean(values) - lowest) * values.size)
    return share


def _pair(values: AnyArray, fixations: AnyArray) -> tuple[AnyArray, npt.NDArray[np.intp]]:
    """The map as a vector, and the places in it that were fixated.

    Raises:
        InputError: two sizes.
    """
    if values.shape != fixations.shape:
        raise InputError(f"the map is {list(values.shape)} and its fixations {list(fixations.shape)}; resize the map")
    return values.reshape(-1), np.flatnonzero(fixations)
