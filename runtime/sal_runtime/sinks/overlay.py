"""Videos and pictures with the map drawn over the frame."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sal_runtime import atomic
from sal_runtime.arrays import Pixels
from sal_runtime.errors import OutputError
from sal_runtime.quiet import hushed
from sal_runtime.render import Renderer
from sal_runtime.sinks import Result
from sal_runtime.sources.images import is_image
from sal_runtime.vision import cv2

CODECS = {".mp4": "mp4v", ".mkv": "mp4v", ".mov": "mp4v", ".avi": "MJPG", ".webm": "VP80"}
"""FOURCC by suffix: what opencv-python's own build can encode. A browser plays .webm."""

_SPARE_BYTES = 1 << 20
_LOOK_EVERY = 30
_RATE_FROM = 15
"""Frames of a live source from whose times the rate of its recording is taken."""


class OverlayVideo:
    """A video at the source's rate. A live source's rate is measured on its first frames."""

    def __init__(self, path: Path, renderer: Renderer, fps: float, live: bool, exist_ok: bool) -> None:
        if path.suffix.lower() not in CODECS:
            raise OutputError(f"{path}: a video ends in {', '.join(CODECS)}")
        self.path: Path | None = path
        self._final = path
        self._partial = atomic.claim(path, exist_ok)
        self._render, self._fps = renderer, fps
        self._waiting: list[tuple[float, Pixels]] = []
        self._hold = _RATE_FROM if live else 1
        self._writer: Any = None
        self._size = (0, 0)
        self._written = 0

    def write(self, result: Result) -> None:
        """Draw and append one frame; pictures of another size than the first are fitted to it."""
        self._waiting.append((result.frame.timestamp, self._render(result.frame.image, result.saliency)))
        if self._writer is not None or len(self._waiting) >= self._hold:
            self._flush()
        if self._written % _LOOK_EVERY == 0 and shutil.disk_usage(self._final.absolute().parent).free < _SPARE_BYTES:
            raise OutputError(f"{self._final}: no space is left on the disk")

    def finish(self) -> None:
        """Close the file and look whether it holds what was written: OpenCV reports no failure of its own."""
        self._flush()
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        found = _frames_in(self._partial, self._written)
        if found != self._written:
            raise OutputError(f"{self._final}: only {found} of {self._written} frames were written{self._why()}")

    def publish(self) -> None:
        """Let the file appear."""
        if self._partial.exists():
            atomic.publish(self._partial, self._final)

    def discard(self) -> None:
        """Close and remove what was written aside."""
        if self._writer is not None:
            self._writer.release()
            self._writer = None
        atomic.discard(self._partial)

    def _flush(self) -> None:
        if self._waiting and self._writer is None:
            self._open()
        for _, picture in self._waiting:
            if (picture.shape[1], picture.shape[0]) != self._size:
                picture = cv2.resize(picture, self._size, interpolation=cv2.INTER_AREA)
            self._writer.write(picture)
            self._written += 1
        self._waiting.clear()

    def _open(self) -> None:
        times = [time for time, _ in self._waiting]
        if len(times) > 1 and times[-1] > times[0]:
            self._fps = (len(times) - 1) / (times[-1] - times[0])
        height, width = self._waiting[0][1].shape[:2]
        # mp4v and VP80 sample colours at half the size.
        self._size = (max(2, width - width % 2), max(2, height - height % 2))
        code = cv2.VideoWriter_fourcc(*CODECS[self._final.suffix.lower()])
        with hushed():  # it remarks on .webm's tag, which is right
            self._writer = cv2.VideoWriter(str(self._partial), cv2.CAP_FFMPEG, code, self._fps, self._size)
        if not self._writer.isOpened():
            raise OutputError(
                f"{self._final}: a video of {self._size[0]}x{self._size[1]} at {self._fps:g} frames a second cannot be "
                f"written{self._why()}; try another suffix"
            )

    def _why(self) -> str:
        usage = shutil.disk_usage(self._final.absolute().parent)  # of no size where files are not kept, such as /proc
        return ", the disk is full" if usage.total and usage.free < _SPARE_BYTES else ""


class OverlayPicture:
    """One picture, for a source that is one picture."""

    def __init__(self, path: Path, renderer: Renderer, exist_ok: bool) -> None:
        if not is_image(path):
            raise OutputError(f"{path}: a picture ends in .png or .jpg")
        self.path: Path | None = path
        self._final = path
        self._partial = atomic.claim(path, exist_ok)
        self._render = renderer

    def write(self, result: Result) -> None:
        """Draw the picture."""
        write_image(self._partial, self._render(result.frame.image, result.saliency), self._final)

    def finish(self) -> None:
        """The picture is written already."""

    def publish(self) -> None:
        """Let it appear."""
        if self._partial.exists():
            atomic.publish(self._partial, self._final)

    def discard(self) -> None:
        """Remove what was written aside."""
        atomic.discard(self._partial)


def _frames_in(path: Path, expected: int) -> int:
    """Frames of a video that was just written: what its header says, or where that differs, what can be read."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        found = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        if found != expected and video.isOpened():
            found = 0
            while found <= expected and video.grab():
                found += 1
    finally:
        video.release()
    return found


def write_image(partial: Path, image: Any, final: Path) -> None:
    """Encode by suffix and write through Python, whose errors tell what happened.

    Raises:
        OutputError: it cannot be encoded or written.
    """
    encoded, data = cv2.imencode(partial.suffix, image)
    if not encoded:
        raise OutputError(f"{final}: this kind of picture cannot be encoded")
    with atomic.writing(final):
        partial.write_bytes(data.tobytes())
