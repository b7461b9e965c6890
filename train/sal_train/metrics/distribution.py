"""Metrics that hold two densities against each other: CC, SIM and KL by the DHF1K benchmark's definitions.

Both maps are [H, W] of one size; neither needs to be normalised. A map without contrast gives NaN, which the averages
leave out and count.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from sal_runtime.arrays import AnyArray
from sal_runtime.errors import InputError

EPSILON = float(np.finfo(np.float64).eps)
"""MATLAB's ``eps``, with which the benchmark keeps logarithms and quotients finite."""


def cc(prediction: AnyArray, target: AnyArray) -> float:
    """Pearson's correlation of two maps, -1 to 1; NaN where either is flat."""
    p, q = _pair(prediction, target)
    if flat(p) or flat(q):
        return math.nan
    middle_p, middle_q = p.mean(), q.mean()
    pq = pp = qq = 0.0
    for part in _parts(p.size):
        a, b = p[part] - middle_p, q[part] - middle_q
        pq, pp, qq = pq + _dot(a, b), pp + _dot(a, a), qq + _dot(b, b)
    return pq / math.sqrt(pp * qq)


def sim(prediction: AnyArray, target: AnyArray) -> float:
    """Overlap of two maps, each stretched to 0..1 and divided by its sum; 0 to 1, NaN where either is flat."""
    p, q = _pair(prediction, target)
    if flat(p) or flat(q):
        return math.nan
    least_p, least_q = p.min(), q.min()
    sum_p, sum_q = p.sum() - least_p * p.size, q.sum() - least_q * q.size
    return math.fsum(
        np.minimum((p[part] - least_p) / sum_p, (q[part] - least_q) / sum_q).sum() for part in _parts(p.size)
    )


def kl(prediction: AnyArray, target: AnyArray) -> float:
    """Kullback-Leibler divergence of the target from the prediction in nats, 0 or more; NaN where either is flat.

    ``sum(q * log(eps + q / (p + eps)))`` with both maps divided by their sums and not stretched first. Values must not
    be negative.
    """
    p, q = _pair(prediction, target)
    if flat(p) or flat(q):
        return math.nan
    sum_p, sum_q = p.sum(), q.sum()
    total = 0.0
    for part in _parts(p.size):
        a, b = p[part] / sum_p, q[part] / sum_q
        total += _dot(b, np.log(EPSILON + b / (a + EPSILON)))
    return total


def flat(values: AnyArray) -> bool:
    """Whether a map has no contrast at all."""
    return bool(values.min() == values.max())


def _parts(size: int, length: int = 16384) -> list[slice]:
    """A long vector in pieces whose temporaries stay in the processor's cache: three times as fast as in one piece."""
    return [slice(start, start + length) for start in range(0, size, length)]


def _dot(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Sum of products. einsum and not a BLAS dot, which would start threads inside our own pool's threads."""
    return float(np.einsum("i,i->", a, b))


def _pair(prediction: AnyArray, target: AnyArray) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both maps as float64 vectors.

    Raises:
        InputError: two sizes.
    """
    if prediction.shape != target.shape:
        raise InputError(f"the prediction is {list(prediction.shape)} and its target {list(target.shape)}; resize one")
    return np.asarray(prediction, np.float64).ravel(), np.asarray(target, np.float64).ravel()
