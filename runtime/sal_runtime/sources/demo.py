"""``--source demo``: a clip made of real photographs, offline: pans and zooms over them, hard cuts between.

The photographs are scikit-image's, which carries them in its package (their licences are listed there).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sal_runtime.arrays import Pixels
from sal_runtime.console import needs_extra
from sal_runtime.errors import MissingDependency
from sal_runtime.sources import Frame, SourceOptions
from sal_runtime.vision import cv2

SIZE = (640, 360)
"""Width and height of the clip."""
FPS = 30.0
SHOT = 60
"""Frames a shot: two seconds."""


@dataclass(frozen=True)
class _Shot:
    """A camera move over one photograph: from one window to another, each (centre x, centre y, width), parts of it."""

    photograph: str
    begin: tuple[float, float, float]
    end: tuple[float, float, float]


_SHOTS = (
    _Shot("astronaut.png", (0.55, 0.36, 0.95), (0.42, 0.26, 0.55)),
    _Shot("coffee.png", (0.38, 0.50, 0.75), (0.62, 0.50, 0.75)),
    _Shot("chelsea.png", (0.55, 0.52, 0.70), (0.45, 0.45, 0.90)),
    _Shot("motorcycle_left.png", (0.40, 0.50, 0.65), (0.60, 0.55, 0.75)),
    _Shot("rocket.jpg", (0.50, 0.55, 0.95), (0.50, 0.42, 0.60)),
)


class DemoSource:
    """Five shots of two seconds at 30 frames a second, the same on every machine."""

    name = "demo"
    live = False
    note: str | None = None

    def __init__(self, options: SourceOptions) -> None:
        self._photographs = [_photograph(shot.photograph) for shot in _SHOTS]
        self._stride = options.stride
        self.fps = FPS / options.stride
        self.frames: int | None = -(-SHOT * len(_SHOTS) // options.stride)

    def __iter__(self) -> Iterator[Frame]:
        """Every frame of every shot."""
        for index in range(0, SHOT * len(_SHOTS), self._stride):
            began = time.perf_counter()
            number, position = divmod(index, SHOT)
            image = _window(self._photographs[number], _SHOTS[number], position / (SHOT - 1))
            yield Frame(image, index / FPS, index, f"{index:06d}", time.perf_counter() - began)

    def close(self) -> None:
        """Nothing is held."""


def _window(photograph: Pixels, shot: _Shot, progress: float) -> Pixels:
    """The picture in the camera's window, which moves smoothly from begin to end; ``progress`` is 0 to 1."""
    eased = progress * progress * (3.0 - 2.0 * progress)
    x, y, part = (np.array(shot.begin) * (1.0 - eased) + np.array(shot.end) * eased).tolist()
    height, width = photograph.shape[:2]
    zoom = SIZE[0] / (part * width)
    shift_x, shift_y = SIZE[0] / 2 - zoom * x * width, SIZE[1] / 2 - zoom * y * height
    # Never look beyond the photograph's edge.
    shift_x = min(0.0, max(SIZE[0] - zoom * width, shift_x))
    shift_y = min(0.0, max(SIZE[1] - zoom * height, shift_y))
    matrix = np.array([[zoom, 0.0, shift_x], [0.0, zoom, shift_y]])
    window: Pixels = cv2.warpAffine(photograph, matrix, SIZE, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return window


def _photograph(name: str) -> Pixels:
    """One of scikit-image's photographs, BGR.

    Raises:
        MissingDependency: scikit-image, or this picture of it, is not installed.
    """
    with needs_extra("demo"):
        import skimage
    path = Path(skimage.__file__).parent / "data" / name
    image: Pixels | None = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise MissingDependency(f"this scikit-image lacks the photograph {name}: pip install -U scikit-image")
    return image
