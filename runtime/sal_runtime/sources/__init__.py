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
from urllib.parse import unquote, urlsplit

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
    connection: int = 0
    """How often a live source was lost and came back before this frame."""


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
    note: str | None
    """What a user should know of it once it was read, or None."""

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
        text: ``demo``, a camera (``0``, ``/dev/video0``, a Jetson's ``csi://0``), an address (``rtsp://…``,
            ``http://…``), a video, a picture, a folder of pictures or a glob.
        options: stride, rate and tolerance.

    Raises:
        SourceError: it cannot be opened; the message names it.
    """
    # Imported here so that each kind's needs (a demo's photographs, say) stay its own.
    options = options or SourceOptions()
    if not text.strip():
        raise SourceError("the source is empty; name a file, a folder, a camera, an address or demo")
    if text.lower().startswith("file://"):
        text = unquote(urlsplit(text).path)
    if text == "demo":
        from sal_runtime.sources.demo import DemoSource

        return DemoSource(options)
    from sal_runtime.sources.video import VideoSource, is_recording

    if text.isdigit() or text.startswith("/dev/video") or _URL.match(text):
        from sal_runtime.sources.live import LiveSource

        return VideoSource(text, options) if is_recording(text) else LiveSource(text, options)
    from sal_runtime.sources.images import ImageSource, is_image

    path = Path(text)
    try:
        exists, is_folder = path.exists(), path.is_dir()
        if is_folder or (exists and is_image(path)) or (not exists and any(c in text for c in "*?[")):
            return ImageSource(text, options)
    except OSError as exc:
        raise SourceError(f"{text}: cannot be read ({exc.strerror})") from exc
    if not exists:
        raise SourceError(f"{text}: there is no such file, folder or camera")
    return VideoSource(text, options)


def public_name(source: str) -> str:
    """What a report or a manifest, which others read, calls a source: a file without the folders of somebody's disk."""
    return Path(source).name if Path(source).exists() else source
