"""A model over the clips of a dataset: frames are read ahead, the model steps, threads score what it said.

All alphas that are asked for step side by side through one engine, each with a state of its own, so that every frame
and every label is read once. What is scored does not depend on the number of threads.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.errors import DataError, InputError
from sal_runtime.session import Session
from sal_train.data import Clip, open_dataset
from sal_train.data.points import Mask
from sal_train.evaluation.baseline import Baseline
from sal_train.evaluation.model import Model
from sal_train.evaluation.report import FLAT, NO_FIXATION, NO_MAP, Run
from sal_train.metrics import METRICS, DatasetScores, OtherFixations, Scores, VideoScores, resize_bicubic, score_frame
from sal_train.metrics.score import in_order
from sal_train.seeds import generator

FROM_MAPS = frozenset({"cc", "sim", "kl"})
"""Metrics that need saliency maps; the others need fixations."""

_AHEAD = 4
"""Frames that are decoded before the model asks for them."""


@dataclass(frozen=True)
class Options:
    """How to evaluate."""

    alphas: tuple[float, ...] = ()
    """In place of the model's own alpha; each gives one row."""
    by_time: bool = False
    """Let a clip's own frame rate decide how much of the state a frame keeps; else one frame is one step at the
    reference rate, as in the paper."""
    vid_stride: int = 1
    """Take every n-th frame; the model does not see the others."""
    metrics: tuple[str, ...] = METRICS
    """Which to compute."""
    baseline: Baseline = field(default_factory=Baseline.center)
    """Of information gain."""
    seed: int = 0
    """Of AUC-J's jitter and of the other fixations of shuffled AUC."""
    workers: int = 2
    """Threads that read labels and score."""


def choose_clips(
    root: Path, split: str, layout: str | None = None, fps: float | None = None, max_videos: int | None = None
) -> list[Clip]:
    """The clips of a split, or the first ``max_videos`` of them; see ``open_dataset``.

    Raises:
        DataError: a folder that is missing or of no known layout, no such split, or files that do not pair.
    """
    return open_dataset(root, split, layout, fps)[:max_videos]


def evaluate(
    model: Model, clips: Sequence[Clip], options: Options | None = None, on_frame: Callable[[], None] = lambda: None
) -> list[Run]:
    """Score a model; the state starts anew with each clip.

    Args:
        model: what :func:`open_model` gave.
        clips: of :func:`choose_clips`; the other fixations of shuffled AUC are drawn from all their frames.
        options: how.
        on_frame: told after each frame.

    Returns:
        one run an alpha, in the order asked for; one run where none was.

    Raises:
        InputError: an unknown metric, or an alpha that is out of range or has nothing to act on.
        DataError: clips without the labels that the metrics need, or a file that cannot be read.
        BackendError, StateError: the engine failed, or a map is not finite.
    """
    options = options or Options()
    require_labels(clips, options.metrics)
    sessions = start_sessions(model, options.alphas)
    scorer = _Scorer(clips, options)
    plan = frames_of(clips, options)
    frames: list[list[list[Scores]]] = [[[] for _ in clips] for _ in sessions]
    reasons: list[Counter[str]] = [Counter({NO_FIXATION: 0, NO_MAP: 0, FLAT: 0}) for _ in sessions]
    with (
        ThreadPoolExecutor(1, "read") as reader,
        ThreadPoolExecutor(options.workers, "score") as pool,
    ):
        jobs = (
            pool.submit(scorer, number, index, maps)
            for number, index, maps in _predictions(sessions, clips, plan, options.by_time, reader)
        )
        for (number, _), found in zip(plan, in_order(jobs, 4 * options.workers), strict=True):
            for of_alpha, why, (scores, reason) in zip(frames, reasons, found, strict=True):
                of_alpha[number].append(scores)
                why.update(reason)
            on_frame()
    for session in sessions:
        session.close()
    name = model.manifest.model
    runs = []
    for session, of_alpha, why in zip(sessions, frames, reasons, strict=True):
        videos = tuple(VideoScores.of(clip.name, rows) for clip, rows in zip(clips, of_alpha, strict=True))
        alpha = model.manifest.alpha if session.alpha is None else session.alpha
        runs.append(Run(alpha, DatasetScores(name, videos), dict(why)))
    return runs


def frames_of(clips: Sequence[Clip], options: Options) -> list[tuple[int, int]]:
    """Which frames are taken, in order: number of the clip, number of the frame in it."""
    return [(number, index) for number, clip in enumerate(clips) for index in range(0, clip.frames, options.vid_stride)]


def require_labels(clips: Sequence[Clip], metrics: Sequence[str]) -> None:
    """Hold the metrics against what the clips have, before any frame is computed.

    Raises:
        InputError: a metric of another name, or none at all.
        DataError: a clip without fixations or maps that a metric needs.
    """
    unknown = sorted(set(metrics) - set(METRICS))
    if unknown or not metrics:
        raise InputError(f"{', '.join(unknown) or 'nothing'}: no such metric; there are {', '.join(METRICS)}")
    maps, fixations = FROM_MAPS & set(metrics), set(metrics) - FROM_MAPS
    for clip in clips:
        if fixations and clip.fixation_maps is None:
            raise DataError(f"{clip.name} has no fixations; take another split, or ask for --metrics cc,sim,kl alone")
        if maps and clip.maps is None:
            raise DataError(f"{clip.name} has no saliency maps; take another split, or leave out cc, sim and kl")


def start_sessions(model: Model, alphas: Sequence[float]) -> list[Session]:
    """A session an alpha, or one with the model's own.

    Raises:
        InputError: an alpha that is out of range or has nothing to act on.
    """
    return [model.engine.stream(alpha=alpha) for alpha in (alphas or (None,))]


def _predictions(
    sessions: Sequence[Session],
    clips: Sequence[Clip],
    plan: Sequence[tuple[int, int]],
    by_time: bool,
    reader: ThreadPoolExecutor,
) -> Iterator[tuple[int, int, list[Floats]]]:
    """For every frame of the plan its place and a map [H, W] of every session, which are stepped here."""
    frames = in_order((reader.submit(clips[number].frame, index) for number, index in plan), _AHEAD)
    for (number, index), frame in zip(plan, frames, strict=True):
        fps = clips[number].fps
        if index == 0:
            for session in sessions:
                session.reset()
        timestamp = index / fps if by_time and fps is not None else None
        yield number, index, [_step(session, frame, timestamp) for session in sessions]


def _step(session: Session, frame: Pixels, timestamp: float | None) -> Floats:
    """One map; an artifact of a fixed batch gets the frame in every slot."""
    times = None if timestamp is None else [timestamp] * session.batch
    first: Floats = session.step_batch([frame] * session.batch, times)[0]
    return first


class _Scorer:
    """The scores of one frame for every session; called in the pool's threads."""

    def __init__(self, clips: Sequence[Clip], options: Options) -> None:
        self._clips, self._options = clips, options
        others = OtherFixations(clips, options.seed)
        # Frames of one video share their union. Threads that ask for a new one at once compute the same.
        self._others = functools.lru_cache(maxsize=2 * options.workers)(others.union)

    def __call__(self, number: int, index: int, predictions: Sequence[Floats]) -> list[tuple[Scores, list[str]]]:
        """Scores and what was left out because of what, a pair a session."""
        clip, wanted = self._clips[number], set(self._options.metrics)
        target = clip.usable_map(index) if wanted & FROM_MAPS else None
        fixations: Mask
        if wanted <= FROM_MAPS:
            fixations = np.zeros_like(np.zeros((1, 1)) if target is None else target, np.bool_)
        else:
            fixations = clip.fixations(index)
        shape = (int(fixations.shape[0]), int(fixations.shape[1]))
        if target is not None and target.shape != shape:
            # Some datasets keep maps at another size than fixations; both are scored at the fixations'.
            target = np.maximum(resize_bicubic(target, *shape), 0.0)
        others = self._others(*shape, number) if "auc_shuffled" in wanted else None
        baseline = self._options.baseline.at(*shape) if "ig" in wanted else None
        shared = [NO_MAP] * (target is None and bool(wanted & FROM_MAPS))
        shared += [NO_FIXATION] * (not wanted <= FROM_MAPS and not fixations.any())
        found = []
        for prediction in predictions:
            scores = score_frame(
                prediction,
                fixations,
                target,
                others=others,
                baseline=baseline,
                rng=generator(self._options.seed, number, index),
                metrics=self._options.metrics,
            )
            found.append((scores, shared + [FLAT] * bool(prediction.min() == prediction.max())))
        return found
