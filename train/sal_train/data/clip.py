"""One video or photograph of a dataset: where its frames, maps and fixations lie, whatever the layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sal_runtime.arrays import AnyArray, Pixels
from sal_runtime.errors import DataError
from sal_train.data.files import Folder, read_fixations, read_map, read_picture
from sal_train.data.points import Mask
from sal_train.data.video import read_frame


@dataclass(frozen=True)
class Clip:
    """A record that reads nothing until it is asked; frames are numbered from 0."""

    name: str
    """The video's or photograph's name in its dataset."""
    frames: int
    """How many frames; 1 for a photograph."""
    fps: float | None
    """Frames a second; None for a photograph."""
    source: Path | Folder
    """A video file, or one picture a frame."""
    maps: Folder | None = None
    """One saliency map a frame; None where the dataset gives none."""
    fixation_maps: Folder | None = None
    """One fixation map a frame, picture or ``.mat``; None where the dataset gives none."""

    def frame(self, index: int) -> Pixels:
        """The frame, uint8 [H, W, 3], BGR. A video is decoded in order: ask in order.

        Raises:
            DataError: the picture cannot be read, or the video breaks off.
        """
        if isinstance(self.source, Path):
            return read_frame(self.source, index)
        return read_picture(self.source[index])

    def map(self, index: int) -> AnyArray:
        """The saliency map, uint8 [H, W].

        Raises:
            DataError: there is none, it cannot be read, or it is empty or constant and says nothing.
        """
        found = self.usable_map(index)
        if found is None:
            raise DataError(f"{self._of(self.maps, 'saliency maps')[index]}: the map is constant; leave the frame out")
        return found

    def usable_map(self, index: int) -> AnyArray | None:
        """The saliency map, uint8 [H, W], or None where it is empty or constant: callers leave that out and count it.

        Raises:
            DataError: there is none, or it cannot be read.
        """
        found = read_map(self._of(self.maps, "saliency maps")[index])
        return None if found.min() == found.max() else found

    def fixations(self, index: int) -> Mask:
        """Where people looked, bool [H, W]; all false where nobody did.

        Raises:
            DataError: the dataset gives none, or the file cannot be read.
        """
        return read_fixations(self._of(self.fixation_maps, "fixations")[index])

    def _of(self, folder: Folder | None, what: str) -> Folder:
        """The files of one kind, if there are any."""
        if folder is None:
            where = self.source if isinstance(self.source, Path) else self.source[0]
            raise DataError(f"{where}: {self.name} has no {what}; take a split or a dataset that has them")
        return folder
