"""Pictures as a sequence of frames: one file, a folder or a glob, in the order a person would put them."""

from __future__ import annotations

import glob
import re
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sal_runtime.arrays import Pixels
from sal_runtime.errors import SourceError
from sal_runtime.sources import Frame, SourceOptions
from sal_runtime.vision import cv2

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
"""Files taken for pictures."""

DEFAULT_FPS = 30.0
"""Rate of pictures that come without one: the paper's."""


def is_image(path: Path) -> bool:
    """Whether the name is a picture's."""
    return path.suffix.lower() in SUFFIXES


class ImageSource:
    """Pictures on disk, ``2.jpg`` before ``10.jpg``."""

    live = False
    note: str | None = None

    def __init__(self, text: str, options: SourceOptions) -> None:
        path = Path(text)
        if path.is_dir():
            found = list(path.iterdir())
        elif path.is_file():
            found = [path]
        else:
            found = [Path(name) for name in glob.glob(text, recursive=True)]  # noqa: PTH207 - takes absolute patterns
        pictures = sorted((p for p in found if is_image(p) and not p.name.startswith(".")), key=natural_order)
        if not pictures:
            kind = "folder" if path.is_dir() else "pattern"
            told = f"the {len(found)} files there are none" if found else "nothing is there"
            raise SourceError(f"{text}: the {kind} gives no pictures ({told}; {', '.join(sorted(SUFFIXES))} are read)")
        self.name = text
        self._pictures = pictures[:: options.stride]
        self._stride = options.stride
        # Pictures of several folders may bear one name; what is made from them must not.
        self._plain = len({p.stem for p in self._pictures}) == len(self._pictures)
        self.fps = (options.fps or DEFAULT_FPS) / options.stride
        self.frames: int | None = len(self._pictures)

    def __iter__(self) -> Iterator[Frame]:
        """Each picture, as colour, whatever it was stored as."""
        for position, path in enumerate(self._pictures):
            began = time.perf_counter()
            image = _read(path)
            index = position * self._stride
            name = path.stem if self._plain else f"{index:06d}_{path.stem}"
            yield Frame(image, position / self.fps, index, name, time.perf_counter() - began)

    def close(self) -> None:
        """Nothing is held."""


def natural_order(path: Path) -> list[tuple[int, str | int]]:
    """A key that sorts numbers within names by value."""
    return [(0, int(part)) if part.isdigit() else (1, part) for part in re.split(r"(\d+)", str(path)) if part]


def _read(path: Path) -> Pixels:
    """One picture as uint8 [h, w, 3]; read through NumPy, since OpenCV cannot open every file name."""
    try:
        image: Pixels | None = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)
    except (OSError, cv2.error) as exc:
        raise SourceError(f"{path}: cannot be read ({exc.strerror if isinstance(exc, OSError) else 'empty'})") from exc
    if image is None:
        raise SourceError(f"{path}: not a picture that can be decoded, or damaged")
    return image
