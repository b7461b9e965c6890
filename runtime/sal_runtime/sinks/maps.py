"""A folder of map images, one a frame, with the values as they are: 0 is black, 1 is white."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sal_runtime import atomic
from sal_runtime.sinks import Result
from sal_runtime.sinks.overlay import write_image
from sal_runtime.vision import cv2


class MapFolder:
    """``NAME.png`` for each frame, at the frame's own size (bicubic), 8 or 16 bits a pixel."""

    def __init__(self, path: Path, bits: int, exist_ok: bool) -> None:
        self.path: Path | None = path
        self._final = path
        self._partial = atomic.claim(path, exist_ok, folder=True)
        self._type, self._top = (np.uint16, 65535.0) if bits == 16 else (np.uint8, 255.0)
        with atomic.writing(path):
            self._partial.mkdir()

    def write(self, result: Result) -> None:
        """Write one map."""
        height, width = result.frame.image.shape[:2]
        grown = cv2.resize(result.saliency, (width, height), interpolation=cv2.INTER_CUBIC)
        image = np.rint(np.clip(grown, 0.0, 1.0) * self._top).astype(self._type)
        name = f"{result.frame.name}.png"
        write_image(self._partial / name, image, self._final / name)

    def finish(self) -> None:
        """Every picture is written already."""

    def publish(self) -> None:
        """Let the folder appear; it replaces one of that name."""
        atomic.publish(self._partial, self._final)

    def discard(self) -> None:
        """Remove what was written aside."""
        atomic.discard(self._partial)
