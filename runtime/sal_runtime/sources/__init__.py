"""Where frames come from.

A source yields frames in order and tells what it knows of their number and rate. Whether every frame counts (a file) or
only the newest (a camera) is its ``live`` flag; the thread between a source and the session is :mod:`sal_runtime.feed`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sal_runtime.arrays import Pixels
from sal_runtime.errors import SourceError


@dataclass(frozen=True)
class Frame:
    """One picture and when it was."""

    image: Pixels
    """uint8 [h, w, 3], BGR."""
    timestamp: float
    """Seconds: of the recording for a file, of a monotonic clock for a camera."""
    index: int
    """Position in the source, from 0, counting frames that were skipped."""
    name: str
    """A stem for files made from this frame: ``000012``, or an image's own name."""
    decode: float
    """Seconds it took to read and decode."""


class Source(Protocol):
    """Frames in order; to be iterated once."""

    name: str
    """As the user wrote it, for messages."""
    fps: float
    """Frames a second at which the frames follow each other; a camera's promise, not a measurement."""
    frames: int | None
    """How many there will be, or None where nobody knows."""
    live: bool
    """Whether the newest frame counts, not every frame."""

    def __iter__(self) -> Iterator[Frame]:
        """Every frame, in order.

        Raises:
            SourceError: the source breaks off.
        """

    def close(self) -> None:
        """Release the file or the device."""


@dataclass(frozen=True)
class SourceOptions:
    """What a user may ask of a source."""

    stride: int = 1
    """Every how manieth frame is taken."""
    fps: float | None = None
    """Rate of pictures that have none of their own (a folder, a glob)."""
    allow_truncated: bool = False
    """Whether a file that breaks off early is taken as far as it goes."""


_URL = re.compile(r"^[a-z][a-z0-9+.-]*://", re.IGNORECASE)


def open_source(text: str, options: SourceOptions | None = None) -> Source:
    """Open what a user wrote after ``--source``.

    Args:
        text: ``demo``, a camera (``0``, ``/dev/video0``), an address (``rtsp://…``, ``http://…``), a video, a
        picture, a
            folder of pictures or a glob.
        options: stride, rate and tolerance.

    Raises:
        SourceError: it cannot be opened; the message names it.
    """
    # Imported here so that each kind's needs (a demo's photographs, say) stay its own.
    options = options or SourceOptions()
    path = Path(text)
    if text == "demo":
        from sal_runtime.sources.demo import DemoSource

        return DemoSource(options)
    if text.isdigit() or text.startswith("/dev/video") or _URL.match(text):
        from sal_runtime.sources.live import LiveSource

        return LiveSource(text, options)
    from sal_runtime.sources.images import ImageSource, is_image

    if path.is_dir() or is_image(path) or (any(c in text for c in "*?[") and not path.exists()):
        return ImageSource(text, options)
    if not path.exists():
        raise SourceError(f"{text}: there is no such file, folder or camera")
    from sal_runtime.sources.video import VideoSource

    return VideoSource(path, options)
