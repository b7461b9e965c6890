"""Hard cuts: where the picture before has nothing to do with the picture now.

The paper asks for it (section 5: at a scene change "it would be optimal to have the EMA reset"). The test is cheap and
errs on the side of silence, because a missed cut smooths for a while and a false one makes the map jump.
"""

from __future__ import annotations

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.vision import cv2

_GRID = (32, 24)
"""Thumbnail, width and height: coarse enough that motion within a shot changes little."""

DIFFERENCE = 0.13
"""Least mean absolute difference of two thumbnails' colours, of 1, at a cut."""
OUTLIER = 4.0
"""At a cut the difference is also this many times the usual one of the shot, so that fast motion is not one."""


class CutDetector:
    """Tells for one stream, frame by frame, whether a new shot began."""

    def __init__(self) -> None:
        self._before: Floats | None = None
        self._usual = 0.0

    def __call__(self, frame: Pixels) -> bool:
        """Whether ``frame`` (uint8 [H, W, 3]) is the first of a new shot. The very first frame is not a cut."""
        now = cv2.resize(frame, _GRID, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
        before, self._before = self._before, now
        if before is None:
            return False
        difference = float(np.abs(now - before).mean())
        if difference > DIFFERENCE and difference > OUTLIER * self._usual:
            self._usual = 0.0
            return True
        self._usual = max(difference, 0.9 * self._usual)
        return False
