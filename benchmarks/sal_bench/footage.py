"""The pictures that models are timed on: decoded beforehand, or from a real clip with its decoding timed.

Without a clip they are frames of the demo, and where scikit-image is absent, seeded noise; the report says which. No
network here takes longer for one picture than for another, so noise serves a timing as well.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sal_runtime.arrays import Pixels
from sal_runtime.errors import InputError, MissingDependency
from sal_runtime.sources import Frame, Source, SourceOptions, open_source, public_name
from sal_runtime.vision import cv2

KEPT = 100
"""Pictures that are held decoded; they come again in the same order."""
_NOISE = (360, 640)
"""Height and width of noise, like the demo's."""


class Pictures(Protocol):
    """An endless row of pictures."""

    told: str
    """What they are, for the report."""

    def next(self) -> tuple[Pixels, float | None, bool]:
        """A picture uint8 [h, w, 3], the seconds its decoding took (None: before), and whether a clip begins anew."""

    def close(self) -> None:
        """Let go of the clip."""


@dataclass
class Held:
    """Decoded pictures, over and over; several readers can start at different places."""

    pictures: list[Pixels]
    told: str
    position: int = 0

    def next(self) -> tuple[Pixels, float | None, bool]:
        """The next one."""
        picture = self.pictures[self.position % len(self.pictures)]
        self.position += 1
        return picture, None, False

    def at(self, position: int) -> Held:
        """The same pictures from another place."""
        return Held(self.pictures, self.told, position)

    def sized(self, height: int, width: int) -> Held:
        """The same pictures of another size, for what takes one size only."""
        made = [cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in self.pictures]
        return Held(made, f"{self.told}, made {width}x{height}", self.position)

    def close(self) -> None:
        """Nothing is held open."""


class Clip:
    """A file, decoded as it is read; at its end it is opened again."""

    def __init__(self, source: str) -> None:
        self.told = f"{public_name(source)}, decoded frame by frame"
        self._text = source
        self._frames = self._open()

    def next(self) -> tuple[Pixels, float | None, bool]:
        """The next frame."""
        frame = next(self._frames, None)
        again = frame is None
        if frame is None:
            self._frames = self._open()
            frame = next(self._frames)
        return frame.image, frame.decode, again

    def close(self) -> None:
        """Close the file."""
        self._source.close()

    def _open(self) -> Iterator[Frame]:
        self._source = finite_source(self._text)
        return iter(self._source)


def finite_source(text: str) -> Source:
    """Open what can be had again.

    Raises:
        InputError: a camera.
        SourceError: it cannot be opened.
    """
    source = open_source(text)
    if source.live:
        source.close()
        raise InputError(f"{text}: a benchmark wants frames that can be had again, from a file, a folder or demo")
    return source


def held(source: str | None, seed: int = 0, count: int = KEPT) -> Held:
    """Up to ``count`` decoded pictures of a source; without one of the demo, else noise.

    Raises:
        InputError, SourceError: the source is live, or cannot be read.
    """
    if source is not None:
        opened = finite_source(source)
        try:
            pictures = [frame.image for frame in itertools.islice(opened, count)]
        finally:
            opened.close()
        return Held(pictures, f"{len(pictures)} frames of {public_name(source)}, decoded before")
    try:
        demo = open_source("demo", SourceOptions(stride=3))
    except MissingDependency:
        noise = np.random.default_rng(seed).integers(0, 256, (8, *_NOISE, 3), np.uint8)
        return Held(list(noise), f"noise (seed {seed}), since scikit-image is not installed")
    pictures = [frame.image for frame in itertools.islice(demo, count)]
    return Held(pictures, f"{len(pictures)} frames of the demo, decoded before")
