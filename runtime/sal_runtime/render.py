"""Pictures for people: the map over the frame, beside it, or alone.

What is drawn is for eyes: brightness follows the strongest value seen lately, so that a map that never nears 1 can be
seen. Files for machines (map images, npz) hold the values as they are.
"""

from __future__ import annotations

import enum

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.vision import cv2

OPACITY = 0.75
"""How much of the frame the strongest saliency covers."""
_FADE = 0.97
"""What is left of the remembered peak after a frame: brightness adapts within about a second."""


class Layout(str, enum.Enum):
    """What a picture shows."""

    overlay = "overlay"
    side_by_side = "side-by-side"
    map = "map"


class Renderer:
    """Draws one stream; remembers nothing but how bright it has been."""

    def __init__(self, layout: Layout = Layout.overlay) -> None:
        self._layout = layout
        self._peak = 0.0

    def __call__(self, frame: Pixels, saliency: Floats) -> Pixels:
        """The picture for a frame uint8 [h, w, 3] and its map [H, W]: [h, w, 3], twice as wide side by side."""
        self._peak = max(float(saliency.max()), _FADE * self._peak, 1e-6)
        height, width = frame.shape[:2]
        grown = cv2.resize(saliency, (width, height), interpolation=cv2.INTER_LINEAR)
        level: Pixels = cv2.convertScaleAbs(grown, alpha=255.0 / self._peak)
        if self._layout is Layout.overlay:
            # Darker and with less colour, so that the map's stand out on whatever is filmed.
            ground = cv2.multiply(cv2.transform(frame, _GROUND), cv2.merge([cv2.LUT(level, _LEFT)] * 3), scale=1 / 255)
            overlay: Pixels = cv2.add(ground, cv2.applyColorMap(level, _COVER))
            return overlay
        colours: Pixels = cv2.applyColorMap(level, cv2.COLORMAP_INFERNO)
        return colours if self._layout is Layout.map else np.hstack([frame, colours])


def _tables() -> tuple[Pixels, Pixels]:
    """For each of 256 levels: the share of the frame that is left (of 255), and the colour times its own share."""
    levels = np.arange(256, dtype=np.uint8).reshape(256, 1)
    share = OPACITY * levels[..., None].astype(np.float32) / 255.0
    cover = np.rint(share * cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)).astype(np.uint8)
    return np.rint(255.0 * (1.0 - share[..., 0])).astype(np.uint8), cover


# Both shares depend on the level alone, so that the blend is two look-ups, a product and a sum in eight bits.
_LEFT, _COVER = _tables()
_GREY = np.array([0.114, 0.587, 0.299], np.float32)
_GROUND = 0.35 * np.eye(3, dtype=np.float32) + 0.3 * np.tile(_GREY, (3, 1))
"""Pixels BGR to the ground that the map lies on: a third of their colour and some of their grey."""
