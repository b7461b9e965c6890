"""Training samples: clips of consecutive frames at the network's size, with their maps and fixations.

A sample is a pure function of (seed, epoch, index): a resumed training sees what an uninterrupted one saw, whatever the
number of workers. NumPy arrays only; the training loop makes tensors of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.errors import DataError
from sal_train.data.clip import Clip
from sal_train.data.motion import Augment
from sal_train.data.points import Mask, move, to_mask, to_points
from sal_train.data.warp import IDENTITY, shrink, warp_frame, warp_map
from sal_train.seeds import generator


@dataclass(frozen=True)
class Sample:
    """T consecutive frames of one video, T at most the length asked for."""

    name: str
    """The clip's name in its dataset."""
    start: int
    """Number of the first frame in the video; 0 starts the recurrent state anew, anything else goes on from the sample
    before."""
    frames: Pixels
    """uint8 [T, H, W, 3], BGR."""
    maps: Floats
    """float32 [T, H, W], 0 to 1; zeros where there is no label."""
    fixations: Mask
    """bool [T, H, W], true where somebody looked; all false where the dataset gives no fixations."""
    labelled: npt.NDArray[np.bool_]
    """bool [T], false where the map is empty or constant: to be left out of every loss, and counted."""


@dataclass(frozen=True)
class Passage:
    """Where one sample lies."""

    video: int
    """Number of the video in the dataset."""
    start: int
    """Number of its first frame."""
    length: int
    """How many frames it has."""


class ClipSamples:
    """Videos cut into clips, in the order of the film within each video and the videos in random order."""

    def __init__(
        self,
        clips: Sequence[Clip],
        size: tuple[int, int] = (192, 256),
        length: int = 10,
        *,
        tails: bool = True,
        shuffle: bool = True,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        """Cut the videos.

        Args:
            clips: a dataset's split.
            size: (H, W) of frames and maps.
            length: frames a sample.
            tails: keep the shorter rest of each video; without them a video shorter than ``length`` is left out.
            shuffle: go through the videos in another order each epoch.
            augment: drawn once a video and epoch, because the state is carried from one sample to the next.
            seed: of order and augmentation.

        Raises:
            DataError: nothing is left.
        """
        self.clips, self.size, self.length, self.augment, self.seed = clips, size, length, augment, seed
        self._shuffle = shuffle
        self._cuts = [
            [
                Passage(video, start, min(length, clip.frames - start))
                for start in range(0, clip.frames if tails else clip.frames - length + 1, length)
            ]
            for video, clip in enumerate(clips)
        ]
        self._count = sum(len(cuts) for cuts in self._cuts)
        self._planned: tuple[int, list[Passage]] = (-1, [])
        if not self._count:
            raise DataError(f"no video has {length} frames; ask for shorter clips or keep the tails")

    def __len__(self) -> int:
        return self._count

    def plan(self, epoch: int) -> list[Passage]:
        """Where every sample of an epoch lies; samples of one video follow each other."""
        if self._planned[0] != epoch:
            count = len(self._cuts)
            order = generator(self.seed, epoch).permutation(count) if self._shuffle else range(count)
            self._planned = (epoch, [passage for video in order for passage in self._cuts[video]])
        return self._planned[1]

    def sample(self, epoch: int, index: int) -> Sample:
        """Read one sample.

        Raises:
            DataError: a frame, map or fixation map that cannot be read, or a dataset without maps.
        """
        passage = self.plan(epoch)[index]
        clip, (height, width) = self.clips[passage.video], self.size
        sample = empty_sample(clip.name, passage.start, passage.length, self.size)
        affine = IDENTITY
        for place, number in enumerate(range(passage.start, passage.start + passage.length)):
            frame = clip.frame(number)
            if place == 0 and self.augment is not None:
                rng = generator(self.seed, epoch, passage.video)
                affine = self.augment.draw(rng, frame.shape[1] / frame.shape[0])
            moved = not np.array_equal(affine, IDENTITY)
            small = shrink(frame, height, width)
            sample.frames[place] = warp_frame(small, affine, height, width) if moved else small
            found = clip.usable_map(number)
            if found is not None:
                density = shrink(found.astype(np.float32) / 255.0, height, width)
                sample.maps[place] = warp_map(density, affine, height, width) if moved else density
                sample.labelled[place] = sample.maps[place].any()
            if clip.fixation_maps is not None:
                sample.fixations[place] = to_mask(move(to_points(clip.fixations(number)), affine), height, width)
        return sample


class Source(Protocol):
    """What gives samples."""

    def __len__(self) -> int:
        """How many samples an epoch has."""

    def sample(self, epoch: int, index: int) -> Sample:
        """One sample, always the same for the same epoch and index."""


class Epoch:
    """One epoch as a sequence, which is all that PyTorch's DataLoader asks of a dataset."""

    def __init__(self, source: Source, epoch: int) -> None:
        self.source, self.epoch = source, epoch

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self.source.sample(self.epoch, index)

    def __iter__(self) -> Iterator[Sample]:
        return (self.source.sample(self.epoch, index) for index in range(len(self)))


def empty_sample(name: str, start: int, length: int, size: tuple[int, int]) -> Sample:
    """A sample to be filled."""
    shape = (length, *size)
    return Sample(
        name,
        start,
        np.zeros((*shape, 3), np.uint8),
        np.zeros(shape, np.float32),
        np.zeros(shape, np.bool_),
        np.zeros(length, np.bool_),
    )
