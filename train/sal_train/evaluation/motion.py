"""Does the recurrence do its work? Maps with the state against maps of each frame alone, where the truth is known.

Photographs with fixations become clips by a camera that pans over them, and by an object that crosses; sensor
noise is added, since real frames are never alike. A good recurrence makes maps change less from frame to frame and
loses little of what they say: the fixations that move along, the object's place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.engine import Engine
from sal_runtime.render import Renderer
from sal_runtime.vision import cv2
from sal_train import metrics
from sal_train.data import Clip, Motion, StillSamples
from sal_train.data.points import Mask
from sal_train.seeds import generator

NOISE = 4.0
"""Standard deviation of the sensor noise, of 255."""
WARM = 10
"""First frames that are not counted: the state has to fill."""
RADIUS = 14
"""Of the object, in pixels of the network's frame."""

_UNFOCUSED = 12.0
"""Blur of what lies behind the object, in pixels."""


@dataclass(frozen=True)
class MovingClip:
    """Frames with known truth."""

    kind: str
    """``pan``: the camera moves; ``object``: something crosses; ``still``: nothing moves but the noise."""
    frames: Pixels
    """uint8 [T, H, W, 3]."""
    truth: Mask
    """bool [T, H, W]: the fixations where they moved to, or the object's pixels."""


@dataclass(frozen=True)
class Comparison:
    """One kind of clip, with and without the state; means over counted frames of all clips."""

    kind: str
    clips: int
    change_alone: float
    """Mean absolute change from a map to the next, over the map's mean, each frame alone."""
    change: float
    """The same with the state."""
    nss_alone: float
    """NSS at the truth, each frame alone."""
    nss: float
    """The same with the state."""


def moving_clips(
    clips: Sequence[Clip], size: tuple[int, int], count: int, frames: int, seed: int = 0
) -> Iterator[MovingClip]:
    """Clips of all kinds from evenly chosen photographs.

    Args:
        clips: photographs with fixations.
        size: (H, W) of a frame.
        count: photographs.
        frames: of a clip, at 30 a second.
        seed: of motion and noise.
    """
    chosen = [clips[i] for i in np.unique(np.linspace(0, len(clips) - 1, min(count, len(clips))).round().astype(int))]
    pans = StillSamples(chosen, Motion(view=(0.6, 0.75), zoom=0.05, degrees=0.0, rest=0.0), size, frames, seed=seed)
    rests = StillSamples(chosen, Motion(view=(1.0, 1.0), degrees=0.0, rest=1.0, mirror=0.0), size, frames, seed=seed)
    for index in range(len(pans)):
        rng = generator(seed, index)
        pan, rest = pans.sample(0, index), rests.sample(0, index)
        yield MovingClip("pan", _noisy(pan.frames, rng), pan.fixations)
        yield MovingClip("still", _noisy(rest.frames, rng), rest.fixations)
        crossed, truth = _cross(rest.frames, rng)
        yield MovingClip("object", _noisy(crossed, rng), truth)


def compare(
    engine: Engine, clips: Iterator[MovingClip], on_clip: Callable[[], None] = lambda: None
) -> list[Comparison]:
    """Run every clip twice: the state threaded, and every frame as a first frame."""
    measured: dict[str, list[tuple[float, float, float, float]]] = {}
    for clip in clips:
        with_state, alone = maps_of(engine, clip.frames, True), maps_of(engine, clip.frames, False)
        measured.setdefault(clip.kind, []).append(
            (_change(alone), _change(with_state), _nss(alone, clip.truth), _nss(with_state, clip.truth))
        )
        on_clip()
    return [
        Comparison(kind, len(values), *(float(np.nanmean(column)) for column in zip(*values, strict=True)))
        for kind, values in measured.items()
    ]


def maps_of(engine: Engine, frames: Pixels, state: bool) -> Floats:
    """Maps float32 [T, H, W] of a clip at the reference rate, with or without the state of the frame before."""
    session = engine.stream(1)
    maps = []
    try:
        for frame in frames:
            if not state:
                session.reset()
            maps.append(session.step(frame))
    finally:
        session.close()
    return np.stack(maps)


def picture(engine: Engine, clip: MovingClip, columns: int = 5) -> Pixels:
    """Frames of a clip in a row; below each its map alone, and its map with the state. The truth is outlined."""
    places = np.linspace(WARM, len(clip.frames) - 1, columns).round().astype(int)
    rows = [[_outlined(clip.frames[place], clip.truth[place], clip.kind) for place in places]]
    for state in (False, True):
        maps, renderer = maps_of(engine, clip.frames, state), Renderer()
        rows.append([renderer(clip.frames[place], maps[place]) for place in places])
    drawn: Pixels = np.vstack([np.hstack(row) for row in rows])
    return drawn


def _noisy(frames: Pixels, rng: np.random.Generator) -> Pixels:
    noise = rng.standard_normal(frames.shape, np.float32) * NOISE
    noisy: Pixels = np.clip(frames + noise, 0, 255).astype(np.uint8)
    return noisy


def _cross(frames: Pixels, rng: np.random.Generator) -> tuple[Pixels, Mask]:
    """An orange disc with a dark rim that goes from side to side at a steady pace, the photograph out of focus.

    In focus, a face in the photograph would rightly draw more looks than a disc does, and the truth would not be known.
    """
    frames = np.stack([cv2.GaussianBlur(frame, (0, 0), _UNFOCUSED) for frame in frames])
    truth = np.zeros(frames.shape[:3], np.bool_)
    count, (height, width) = len(frames), frames.shape[1:3]
    row = int(rng.integers(2 * RADIUS, height - 2 * RADIUS))
    for index, column in enumerate(np.linspace(2 * RADIUS, width - 2 * RADIUS, count).round().astype(int).tolist()):
        cv2.circle(frames[index], (column, row), RADIUS, (20, 20, 20), -1, cv2.LINE_AA)
        cv2.circle(frames[index], (column, row), RADIUS - 3, (30, 140, 250), -1, cv2.LINE_AA)
        disc = np.zeros((height, width), np.uint8)
        truth[index] = cv2.circle(disc, (column, row), RADIUS, 1, -1).astype(np.bool_)
    return frames, truth


def _change(maps: Floats) -> float:
    steps = np.abs(np.diff(maps[WARM:], axis=0)).mean(axis=(1, 2))
    return float((steps / maps[WARM + 1 :].mean(axis=(1, 2))).mean())


def _nss(maps: Floats, truth: Mask) -> float:
    return float(
        np.nanmean([metrics.nss(m, t) if t.any() else np.nan for m, t in zip(maps, truth, strict=True)][WARM:])
    )


def _outlined(frame: Pixels, truth: Mask, kind: str) -> Pixels:
    drawn: Pixels = frame.copy()
    if kind == "object":
        found = cv2.findContours(truth.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        cv2.drawContours(drawn, found, -1, (255, 255, 255), 1)
    else:
        for y, x in np.argwhere(truth)[::3].tolist():
            cv2.circle(drawn, (x, y), 1, (255, 255, 255), -1)
    return drawn
