"""Chance that moves pictures: mirroring and rotation of whole videos, and a camera over a photograph.

Both draw affine maps in shares of width and height; ``warp.py`` applies them to frames and maps, ``points.py`` to
fixations. What is drawn depends on the generator that is handed in and on nothing else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sal_train.data.points import Affine
from sal_train.data.warp import IDENTITY, MIRROR, compose, rotation


@dataclass(frozen=True)
class Augment:
    """Mirroring and rotation, the paper's augmentation (section 4), the same for every frame of a video."""

    mirror: float = 0.5
    """Probability of mirroring."""
    degrees: float = 10.0
    """Rotations are uniform between minus and plus this angle; 0 turns them off."""

    def draw(self, rng: np.random.Generator, aspect: float) -> Affine:
        """One affine map for pictures ``aspect`` times as wide as high."""
        mirrored, degrees = rng.random() < self.mirror, rng.uniform(-self.degrees, self.degrees)
        turned = rotation(degrees, aspect) if degrees else IDENTITY
        return compose(turned, MIRROR) if mirrored else turned


@dataclass(frozen=True)
class Motion:
    """A camera that pans, zooms and turns over a photograph and never leaves it, so that no frame has invented edges.

    Centre, size and angle of the view each follow a sine of random phase and speed: smooth, bounded, and of the same
    speed in seconds at every frame rate.
    """

    fps: float = 30.0
    """Frames a second of the clips."""
    view: tuple[float, float] = (0.6, 1.0)
    """Smallest and largest view, as a share of the photograph's width and height."""
    pan: float = 0.4
    """Greatest speed of the view's centre along either side, in shares of that side a second."""
    zoom: float = 0.3
    """Greatest speed of the view's size, in shares a second."""
    degrees: float = 3.0
    """Greatest angle of the view."""
    turn: float = 6.0
    """Greatest speed of turning, in degrees a second."""
    mirror: float = 0.5
    """Probability that the whole clip is mirrored."""
    rest: float = 0.1
    """Probability that the camera does not move at all."""

    def draw(self, rng: np.random.Generator, frames: int, aspect: float) -> list[Affine]:
        """One affine map a frame, from the photograph (``aspect`` times as wide as high) to the clip."""
        seconds = np.arange(frames) / self.fps
        phases, speeds = rng.uniform(0.0, 2.0 * math.pi, 4), rng.random(4)
        mirrored, resting = rng.random() < self.mirror, rng.random() < self.rest
        speeds *= 0.0 if resting else 1.0

        def wave(which: int, fastest: float, reach: float) -> npt.NDArray[np.float64]:
            """Values of -1 to 1 that, times up to ``reach``, move at no more than ``fastest`` a second."""
            swing: npt.NDArray[np.float64] = np.sin(
                phases[which] + speeds[which] * fastest / max(reach, 0.05) * seconds
            )
            return swing

        angle = self.degrees * wave(0, self.turn, self.degrees)
        low, high = self.view
        # How far a turned view reaches from its centre, in shares of the photograph, for a view of size 1.
        cosine, sine = np.cos(np.radians(angle)), np.abs(np.sin(np.radians(angle)))
        reach_x, reach_y = 0.5 * (cosine + sine / aspect), 0.5 * (cosine + sine * aspect)
        largest = np.minimum(high, 0.5 / np.maximum(reach_x, reach_y))
        smallest = np.minimum(low, largest)
        size = smallest + (largest - smallest) * (0.5 + 0.5 * wave(1, self.zoom, (high - low) / 2.0))
        room_x, room_y = 0.5 - size * reach_x, 0.5 - size * reach_y
        x = 0.5 + room_x * wave(2, self.pan, (1.0 - low) / 2.0)
        y = 0.5 + room_y * wave(3, self.pan, (1.0 - low) / 2.0)
        views = [_view(*values, aspect) for values in zip(x, y, size, angle, strict=True)]
        return [compose(MIRROR, view) for view in views] if mirrored else views


def _view(x: float, y: float, size: float, degrees: float, aspect: float) -> Affine:
    """From the photograph to a view of it: its centre to the middle, its size to 1, its angle to 0."""
    centred = np.array([[1.0, 0.0, 0.5 - x], [0.0, 1.0, 0.5 - y]])
    enlarged = np.array([[1.0 / size, 0.0, 0.5 - 0.5 / size], [0.0, 1.0 / size, 0.5 - 0.5 / size]])
    return compose(enlarged, compose(rotation(degrees, aspect), centred))
