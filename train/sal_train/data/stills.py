"""Photographs made into clips: a camera moves over each, and its map and fixations move with it.

A network with a recurrence learns from photographs what it can: that where people look moves with what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from sal_runtime.arrays import AnyArray, Pixels
from sal_runtime.errors import DataError
from sal_train.data.clip import Clip
from sal_train.data.colour import Colour
from sal_train.data.motion import Motion
from sal_train.data.points import Points, move, to_mask, to_points
from sal_train.data.samples import Sample, empty_sample
from sal_train.data.warp import shrinking, warp_frame, warp_map
from sal_train.seeds import generator

_FAINT = 0.1
"""A view whose strongest place has less than this share of the photograph's is one where nobody looked."""


@dataclass(frozen=True)
class _Still:
    """A photograph in memory."""

    picture: Pixels
    """uint8 [h, w, 3]."""
    density: AnyArray
    """uint8 [h, w]."""
    points: Points
    """Fixations; empty where the dataset gives none."""


class StillSamples:
    """One clip a photograph and epoch; every clip starts the recurrent state anew."""

    def __init__(
        self,
        clips: Sequence[Clip],
        motion: Motion,
        size: tuple[int, int] = (192, 256),
        length: int = 4,
        *,
        cache: bool = False,
        colour: Colour | None = None,
        seed: int = 0,
        workers: int = 2,
    ) -> None:
        """Read every map once to leave out the photographs whose map is empty or constant.

        Args:
            clips: a split of photographs (a video gives its first frame).
            motion: how the camera moves.
            size: (H, W) of frames and maps.
            length: frames a sample.
            colour: how light and colour change; None leaves them.
            cache: keep the photographs in memory, uint8 at their own size: 0.8 MB each at 512x384.
            seed: of order and motion.
            workers: threads that read.

        Raises:
            DataError: a file that cannot be read, or no photograph with a map that says anything.
        """
        with ThreadPoolExecutor(workers, thread_name_prefix="stills") as pool:
            if cache:
                stills = list(pool.map(_read, clips))
                usable = [still is not None for still in stills]
            else:
                stills = []
                usable = list(pool.map(_has_map, clips))
        self.clips = [clip for clip, fit in zip(clips, usable, strict=True) if fit]
        self.left_out = tuple(clip.name for clip, fit in zip(clips, usable, strict=True) if not fit)
        """Names of the photographs whose map is empty or constant."""
        self.motion, self.colour = motion, colour
        self.size, self.length, self.seed = size, length, seed
        self._cache = [still for still in stills if still is not None]
        if not self.clips:
            raise DataError(f"none of {len(clips)} photographs has a map that says anything; look at the maps' files")

    def __len__(self) -> int:
        return len(self.clips)

    def sample(self, epoch: int, index: int) -> Sample:
        """Make one clip.

        ``maps`` are stretched to a maximum of 1 in every frame, as datasets of video have them; a frame that shows only
        what nobody looked at is not labelled.

        Raises:
            DataError: a file that cannot be read.
        """
        number = int(generator(self.seed, epoch).permutation(len(self))[index])
        still = self._cache[number] if self._cache else _read(self.clips[number])
        if still is None:
            raise DataError(f"{self.clips[number].name}: its map has become constant since it was first read")
        rng, (height, width) = generator(self.seed, epoch, number), self.size
        source = still.picture.shape[:2]
        affines = self.motion.draw(rng, self.length, source[1] / source[0])
        fineness = max(1, round(max(shrinking(affine, source, self.size) for affine in affines)))
        strongest = still.density.max() / 255.0
        density = still.density.astype(np.float32) / 255.0
        sample = empty_sample(self.clips[number].name, 0, self.length, self.size)
        for place, affine in enumerate(affines):
            sample.frames[place] = warp_frame(still.picture, affine, height, width, fineness)
            sample.fixations[place] = to_mask(move(still.points, affine), height, width)
            view = warp_map(density, affine, height, width)
            if view.max() >= _FAINT * strongest:
                sample.maps[place] = view / view.max()
                sample.labelled[place] = True
        if self.colour is not None:
            sample.frames[:] = self.colour(sample.frames, generator(self.seed, epoch, number, 0))
        return sample


def _read(clip: Clip) -> _Still | None:
    """A photograph with its labels; None where its map says nothing."""
    density = clip.usable_map(0)
    if density is None:
        return None
    points = np.zeros((0, 2)) if clip.fixation_maps is None else to_points(clip.fixations(0))
    return _Still(clip.frame(0), density, points)


def _has_map(clip: Clip) -> bool:
    """Whether a photograph's map says anything."""
    return clip.usable_map(0) is not None
