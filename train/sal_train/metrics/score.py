"""All metrics of one frame, and the frames of one video on all cores."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np

from sal_runtime.arrays import AnyArray
from sal_runtime.errors import InputError
from sal_train.metrics.distribution import cc, kl, sim
from sal_train.metrics.location import auc_judd, auc_shuffled, information_gain, nss
from sal_train.metrics.resize import resize_bicubic
from sal_train.seeds import generator

PAPER = ("auc_judd", "auc_shuffled", "nss", "cc", "sim")
"""The five metrics of the paper's tables."""

METRICS = (*PAPER, "kl", "ig")
"""All metrics, in the order of every table and file."""

T = TypeVar("T")


@dataclass(frozen=True)
class Scores:
    """One value a metric: of a frame, or a mean. None: was not asked for; NaN: is not defined here."""

    auc_judd: float | None = None
    """Area under the curve, fixated against all other pixels, 0 to 1."""
    auc_shuffled: float | None = None
    """Area under the curve, fixated here against fixated on other frames, 0 to 1."""
    nss: float | None = None
    """Standardised prediction at fixations, in standard deviations."""
    cc: float | None = None
    """Correlation with the target map, -1 to 1."""
    sim: float | None = None
    """Overlap with the target map, 0 to 1."""
    kl: float | None = None
    """Divergence of the target map from the prediction, nats; less is better."""
    ig: float | None = None
    """Information gain over the baseline, bits a fixation."""

    def as_dict(self) -> dict[str, float]:
        """The metrics that were asked for, by name."""
        return {name: value for name, value in dataclasses.asdict(self).items() if value is not None}


FrameArrays: TypeAlias = tuple[AnyArray, AnyArray, AnyArray | None]
"""Prediction [h, w], fixations [H, W], target map [H, W] or None where the map is unfit."""


def score_frame(
    prediction: AnyArray,
    fixations: AnyArray,
    target: AnyArray | None,
    *,
    others: AnyArray | None = None,
    baseline: AnyArray | None = None,
    rng: np.random.Generator,
    metrics: Collection[str] = METRICS,
) -> Scores:
    """Every metric of one frame.

    Args:
        prediction: real [h, w], 0 to 1, brought to the fixations' size (bicubic, a = -0.5; the kernel's overshoot below
            0 is cut off, as in an 8-bit map, because a density has none).
        fixations: [H, W], not zero where somebody looked.
        target: density [H, W], any scale; None (an unfit map) makes CC, SIM and KL NaN.
        others: [H, W], fixations of other frames; without them shuffled AUC is not computed.
        baseline: [h, w], the density that information gain is measured against; without it that is not computed.
        rng: jitter of AUC-Judd and samples of shuffled AUC, one independent stream each.
        metrics: which to compute.

    Raises:
        InputError: a metric of another name, a prediction that is not finite, or sizes that differ.
    """
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown:
        raise InputError(f"{', '.join(unknown)}: no such metric; there are {', '.join(METRICS)}")
    if not (math.isfinite(prediction.min()) and math.isfinite(prediction.max())):
        raise InputError("the prediction holds values that are not finite; the network has diverged or is damaged")
    at_size = _fit(prediction, fixations)
    noise, draws = rng.spawn(2)
    asked: dict[str, Callable[[], float]] = {
        "auc_judd": lambda: auc_judd(at_size, fixations, noise),
        "nss": lambda: nss(at_size, fixations),
        "cc": lambda: math.nan if target is None else cc(at_size, target),
        "sim": lambda: math.nan if target is None else sim(at_size, target),
        "kl": lambda: math.nan if target is None else kl(at_size, target),
    }
    if others is not None:
        asked["auc_shuffled"] = lambda: auc_shuffled(at_size, fixations, others, draws)
    if baseline is not None:
        asked["ig"] = lambda: information_gain(at_size, fixations, _fit(baseline, fixations))
    return Scores(**{name: compute() for name, compute in asked.items() if name in metrics})


def score_frames(
    frames: Iterable[Callable[[], FrameArrays]],
    *,
    others: AnyArray | None = None,
    baseline: AnyArray | None = None,
    seed: int = 0,
    place: tuple[int, ...] = (),
    metrics: Collection[str] = METRICS,
    workers: int = 2,
) -> list[Scores]:
    """The frames of one video, scored in ``workers`` threads; NumPy computes beside Python's lock.

    Args:
        frames: for each frame a call that gives its arrays. It is made in one of the threads, so what it reads from the
            disk is read in parallel; at most four frames a thread are waiting.
        others, baseline, metrics: as for :func:`score_frame`.
        seed, place: frame k draws from ``generator(seed, *place, k)``: the result does not depend on ``workers``. Give
            the video's number as place.
        workers: threads.
    """

    def score(number: int, load: Callable[[], FrameArrays]) -> Scores:
        prediction, fixations, target = load()
        rng = generator(seed, *place, number)
        return score_frame(prediction, fixations, target, others=others, baseline=baseline, rng=rng, metrics=metrics)

    with ThreadPoolExecutor(workers, thread_name_prefix="score") as pool:
        jobs = (pool.submit(score, number, load) for number, load in enumerate(frames))
        return list(in_order(jobs, 4 * workers))


def in_order(jobs: Iterator[Future[T]], ahead: int) -> Iterator[T]:
    """Results in the order of submission, with no more than ``ahead`` jobs waiting."""
    waiting: deque[Future[T]] = deque()
    try:
        for job in jobs:
            waiting.append(job)
            if len(waiting) >= ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for job in waiting:
            job.cancel()


def _fit(density: AnyArray, fixations: AnyArray) -> AnyArray:
    """A density [h, w] at the size of the fixations."""
    if density.shape == fixations.shape:
        return density
    resized = resize_bicubic(density, *fixations.shape)
    return np.maximum(resized, 0.0, out=resized)
