"""Video files: every frame, in order, with the times that the file gives them."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

from sal_runtime.errors import SourceError
from sal_runtime.sources import Frame, SourceOptions
from sal_runtime.vision import cv2


class VideoSource:
    """A recording, read to its end."""

    live = False

    def __init__(self, text: str, options: SourceOptions) -> None:
        self.name, self._options = text, options
        self.note: str | None = None
        self._capture = cv2.VideoCapture(_address(text), cv2.CAP_FFMPEG)
        rate = self._capture.get(cv2.CAP_PROP_FPS) if self._capture.isOpened() else 0.0
        if not rate > 0:
            self._capture.release()
            raise SourceError(f"{text}: not a video that can be decoded, or damaged")
        self.fps = rate / options.stride
        promised = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._promised = promised if promised > 0 else None
        self.frames = None if self._promised is None else -(-self._promised // options.stride)

    def __iter__(self) -> Iterator[Frame]:
        """Every ``stride``-th frame.

        Raises:
            SourceError: at the end, if the file breaks off before what its container promises.
        """
        index, last = 0, -1.0
        while True:
            began = time.perf_counter()
            if not self._capture.grab():
                break
            if index % self._options.stride == 0:
                read, image = self._capture.retrieve()
                if not read:
                    break
                # Some files carry no usable times; then the nominal rate is the best that is known.
                stamp = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000.0
                last = stamp if stamp > last else max(last, 0.0) + 1.0 / self.fps if index else 0.0
                yield Frame(image, last, index, f"{index:06d}", time.perf_counter() - began)
            index += 1
        if index == 0:
            raise SourceError(f"{self.name}: no frame of it can be decoded")
        if self._promised is None or index >= self._promised:
            return
        told = f"{self.name}: ends after {index} of {self._promised} frames"
        if breaks_off(Path(self.name)) and not self._options.allow_truncated:
            raise SourceError(f"{told}, so it is truncated or damaged; --allow-truncated takes it as far as it goes")
        # A header may count frames that an edit list leaves out, or be an estimate.
        self.note = f"{told} that its header counts"

    def close(self) -> None:
        """Release the file."""
        self._capture.release()


def is_recording(text: str) -> bool:
    """Whether an address is a file on a server: it has an end, and every frame counts."""
    if not text.lower().startswith(("http://", "https://")):
        return False
    capture = cv2.VideoCapture(text, cv2.CAP_FFMPEG, [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, 8000])
    try:
        return bool(capture.isOpened() and capture.get(cv2.CAP_PROP_FRAME_COUNT) > 0)
    finally:
        capture.release()


def breaks_off(path: Path) -> bool:
    """Whether a file is shorter than its own container says: an MP4's box or an AVI's RIFF chunk reaches past its end.

    Containers that tell no length (Matroska, MPEG streams) never do.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(12)
            if head[:4] == b"RIFF":
                return bool(struct.unpack("<I", head[4:8])[0] + 8 > size)
            if head[4:8] not in (b"ftyp", b"moov", b"mdat", b"free", b"wide", b"skip"):
                return False
            at = 0
            while at + 8 <= size:
                file.seek(at)
                length, kind = struct.unpack(">I4s", file.read(8))
                if length == 1:
                    length = struct.unpack(">Q", file.read(8))[0]
                if length == 0 and kind == b"mdat":
                    return False  # to the end of the file, wherever that is
                if length < 8 or at + length > size:
                    return True
                at += length
            return at != size
    except (OSError, struct.error):
        return False


def _address(text: str) -> str:
    """A local file's absolute path: FFmpeg takes a relative ``clip12:30.avi`` for an address."""
    return text if "://" in text else str(Path(text).absolute())
