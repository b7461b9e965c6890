"""Frames out of a video file, read in order.

Seeking in AVI lands on a neighbouring frame often enough to shift every map by one, so it is never done: a later frame
is reached by decoding up to it, an earlier one by starting again. Read in order, nothing is decoded twice.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

import numpy as np

from sal_runtime.arrays import Pixels
from sal_runtime.errors import DataError
from sal_runtime.vision import cv2

_OPEN = 4
"""How many videos one thread keeps open: a training that goes through a thousand must not hold a thousand decoders."""


class _Reader:
    """An open video and the number of the frame that comes next."""

    def __init__(self, path: Path) -> None:
        self.capture = cv2.VideoCapture(str(path))
        self.next = 0


class _Readers(threading.local):
    """The videos that this thread has open, the longest unused first."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.open: OrderedDict[Path, _Reader] = OrderedDict()
        self.inherited: list[OrderedDict[Path, _Reader]] = []

    def at(self, path: Path, index: int) -> _Reader:
        """An open reader that has not passed frame ``index``."""
        if self.process != os.getpid():
            # A forked worker: closing the parent's decoders here would wait for threads that exist only in the parent.
            self.inherited.append(self.open)
            self.open, self.process = OrderedDict(), os.getpid()
        reader = self.open.pop(path, None)
        if reader is None or reader.next > index:
            reader = _Reader(path)
        self.open[path] = reader
        if len(self.open) > _OPEN:
            self.open.popitem(last=False)
        return reader


_readers = _Readers()


def probe(path: Path) -> tuple[int, float]:
    """Number of frames and frames a second, as the file's header tells them.

    Raises:
        DataError: no video, or a header that tells neither.
    """
    capture = cv2.VideoCapture(str(path))
    frames, fps = int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), float(capture.get(cv2.CAP_PROP_FPS))
    if not capture.isOpened() or frames <= 0 or not fps > 0:
        raise DataError(f"{path}: cannot be opened as a video; fetch the file again or extract its frames with ffmpeg")
    return frames, fps


def read_frame(path: Path, index: int) -> Pixels:
    """Frame ``index`` (from 0) of a video, uint8 [H, W, 3], BGR.

    Raises:
        DataError: the video cannot be opened or ends before that frame.
    """
    reader = _readers.at(path, index)
    while reader.next < index and reader.capture.grab():
        reader.next += 1
    delivered, frame = reader.capture.read()
    if not delivered:
        reader.next = index + 1  # whatever is asked next starts again
        raise DataError(
            f"{path}: frame {index + 1} cannot be decoded; fetch the file again or extract its frames with ffmpeg"
        )
    reader.next += 1
    return np.asarray(frame, np.uint8)
