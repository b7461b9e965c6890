"""Where people look in general: the other fixations of shuffled AUC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from sal_train.data.points import Mask, resize_fixations
from sal_train.seeds import generator


class HasFixations(Protocol):
    """What is asked of a clip: see ``sal_train.data.Clip``."""

    @property
    def frames(self) -> int:
        """How many frames there are."""

    def fixations(self, index: int) -> Mask:
        """bool [H, W] of one frame."""


class OtherFixations:
    """The union of the fixations of ten random frames of the evaluation set, as the benchmark has it."""

    def __init__(self, clips: Sequence[HasFixations], seed: int = 0, frames: int = 10) -> None:
        """Remember the set.

        Args:
            clips: every clip of the evaluation set; each frame is as likely as any other.
            seed: of the choice.
            frames: how many frames make one union (all of them where the set is smaller).
        """
        self._clips = clips
        self._starts = np.cumsum([0, *(clip.frames for clip in clips)])
        self._seed = seed
        self._frames = frames

    def union(self, height: int, width: int, *place: int) -> Mask:
        """bool [height, width]; the same place (a video's number, or a video's and a frame's) gives the same union.

        One union a video costs ten reads a video; one a frame, ten reads a frame.

        Raises:
            DataError: a fixation map that cannot be read.
        """
        total = int(self._starts[-1])
        union = np.zeros((height, width), np.bool_)
        for number in generator(self._seed, *place).permutation(total)[: self._frames]:
            clip = int(np.searchsorted(self._starts, number, side="right")) - 1
            union |= resize_fixations(self._clips[clip].fixations(int(number - self._starts[clip])), height, width)
        return union
