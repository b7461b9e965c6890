"""Metrics that hold two densities against each other: CC, SIM and KL by the DHF1K benchmark's definitions.

Both maps are [H, W] of one size and any real type; neither needs to be normalised. A map without contrast gives NaN,
which the averages leave out and count.

Sums run in float64 over pieces that stay in the processor's cache: whole-map temporaries would cost more in fresh
memory than the arithmetic does, the more so with several threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sal_runtime.arrays import AnyArray
from sal_runtime.errors import InputError

EPSILON = float(np.finfo(np.float64).eps)
"""MATLAB's ``eps``, with which the benchmark keeps logarithms and quotients finite."""

_PIECE = 65536
"""Pixels that are worked on at a time."""

_Doubles: TypeAlias = npt.NDArray[np.float64]


def cc(prediction: AnyArray, target: AnyArray) -> float:
    """Pearson's correlation of two maps, -1 to 1; NaN where either is flat."""
    _require_pair(prediction, target)
    if flat(prediction) or flat(target):
        return math.nan
    middle_p, middle_q = mean(prediction), mean(target)
    pq = pp = qq = 0.0
    for a, b in zip(_pieces(prediction), _pieces(target), strict=True):
        a -= middle_p
        b -= middle_q
        pq, pp, qq = pq + _dot(a, b), pp + _dot(a, a), qq + _dot(b, b)
    return pq / math.sqrt(pp * qq)


def sim(prediction: AnyArray, target: AnyArray) -> float:
    """Overlap of two maps, each stretched to 0..1 and divided by its sum; 0 to 1, NaN where either is flat."""
    _require_pair(prediction, target)
    if flat(prediction) or flat(target):
        return math.nan
    least_p, least_q = float(prediction.min()), float(target.min())
    sum_p, sum_q = (mean(prediction) - least_p) * prediction.size, (mean(target) - least_q) * target.size
    total = 0.0
    for a, b in zip(_pieces(prediction), _pieces(target), strict=True):
        a -= least_p
        b -= least_q
        a *= sum_q / sum_p
        total += float(np.minimum(a, b, out=a).sum())
    return total / sum_q


def kl(prediction: AnyArray, target: AnyArray) -> float:
    """Kullback-Leibler divergence of the target from the prediction in nats, 0 or more; NaN where either is flat.

    ``sum(q * log(eps + q / (p + eps)))`` with both maps divided by their sums and not stretched first. Values must not
    be negative.
    """
    _require_pair(prediction, target)
    if flat(prediction) or flat(target):
        return math.nan
    sum_p, sum_q = mean(prediction) * prediction.size, mean(target) * target.size
    total = 0.0
    for a, b in zip(_pieces(prediction), _pieces(target), strict=True):
        a /= sum_p
        b /= sum_q
        a += EPSILON
        np.divide(b, a, out=a)
        a += EPSILON
        total += _dot(b, np.log(a, out=a))
    return total


def flat(values: AnyArray) -> bool:
    """Whether a map has no contrast at all."""
    return bool(values.min() == values.max())


def mean(values: AnyArray) -> float:
    """The mean of a map, summed in float64."""
    return float(values.mean(dtype=np.float64))


def deviation(values: AnyArray) -> float:
    """The standard deviation of a map with N - 1."""
    middle, total = mean(values), 0.0
    for piece in _pieces(values):
        piece -= middle
        total += _dot(piece, piece)
    return math.sqrt(total / (values.size - 1))


def _pieces(values: AnyArray) -> Iterator[_Doubles]:
    """A map in pieces of float64, each a copy that may be written to."""
    vector = values.reshape(-1)
    for start in range(0, vector.size, _PIECE):
        yield vector[start : start + _PIECE].astype(np.float64)


def _dot(a: _Doubles, b: _Doubles) -> float:
    """Sum of products. einsum and not a BLAS dot, which would start threads inside our own pool's threads."""
    return float(np.einsum("i,i->", a, b))


def _require_pair(prediction: AnyArray, target: AnyArray) -> None:
    """Hold the sizes of two maps against each other.

    Raises:
        InputError: they differ.
    """
    if prediction.shape != target.shape:
        raise InputError(f"the prediction is {list(prediction.shape)} and its target {list(target.shape)}; resize one")
