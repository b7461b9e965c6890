"""Video files: every frame, in order, with the times that the file gives them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from sal_runtime.errors import SourceError
from sal_runtime.sources import Frame, SourceOptions
from sal_runtime.vision import cv2


class VideoSource:
    """A recording, read to its end."""

    live = False

    def __init__(self, path: Path, options: SourceOptions) -> None:
        self.name, self._path, self._options = str(path), path, options
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        rate = self._capture.get(cv2.CAP_PROP_FPS) if self._capture.isOpened() else 0.0
        if not rate > 0:
            self._capture.release()
            raise SourceError(f"{path}: not a video that can be decoded, or damaged")
        self._rate = rate
        self.fps = rate / options.stride
        promised = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._promised = promised if promised > 0 else None
        self.frames = None if self._promised is None else -(-self._promised // options.stride)

    def __iter__(self) -> Iterator[Frame]:
        """Every ``stride``-th frame. A file that gives fewer frames than its header promises is an error at its end."""
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
        if self._promised is not None and index < self._promised and not self._options.allow_truncated:
            raise SourceError(
                f"{self.name}: ends after {index} of {self._promised} frames, so it is truncated or damaged; "
                "--allow-truncated takes it as far as it goes"
            )

    def close(self) -> None:
        """Release the file."""
        self._capture.release()
