"""Hard cuts: where the picture before has nothing to do with the picture now.

The paper asks for it (section 5: at a scene change "it would be optimal to have the EMA reset"). The test is cheap and
errs on the side of silence, because a missed cut smooths for a while and a false one makes the map jump.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.vision import cv2

_GRID = (32, 24)
"""Thumbnail, width and height: coarse enough that motion within a shot changes little."""

DIFFERENCE = 0.13
"""Least mean absolute difference of two thumbnails' colours, of 1, at a cut."""
OUTLIER = 4.0
"""At a cut the difference is also this many times the usual one of the shot, so that fast motion is not one."""


@dataclass(frozen=True)
class Shot:
    """What is remembered of the shot under way."""

    thumbnail: Floats
    """float32 [24, 32, 3], 0 to 1, of the last frame."""
    usual: float | None
    """Recent difference from frame to frame; None while the shot has but one frame."""


def look(frame: Pixels, before: Shot | None) -> tuple[bool, Shot]:
    """Whether ``frame`` begins a new shot, and what to remember; the caller keeps it once the frame counted.

    Args:
        frame: uint8 [H, W, 3].
        before: what was remembered; None at the very first frame, which is no cut.
    """
    thumbnail: Floats = cv2.resize(frame, _GRID, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    if before is None:
        return False, Shot(thumbnail, None)
    difference = float(np.abs(thumbnail - before.thumbnail).mean())
    if before.usual is None:
        return False, Shot(thumbnail, difference)
    if difference > DIFFERENCE and difference > OUTLIER * before.usual:
        return True, Shot(thumbnail, None)
    return False, Shot(thumbnail, max(difference, 0.9 * before.usual))
