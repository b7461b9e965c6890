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
        weight: Floats = cv2.resize(saliency / self._peak, (width, height), interpolation=cv2.INTER_LINEAR)
        colours: Pixels = cv2.applyColorMap(cv2.convertScaleAbs(weight, alpha=255.0), cv2.COLORMAP_INFERNO)
        if self._layout is Layout.map:
            return colours
        if self._layout is Layout.side_by_side:
            return np.hstack([frame, colours])
        weight *= OPACITY
        # Darker and with less colour, so that the map's stand out on whatever is filmed.
        grey = cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        ground = cv2.addWeighted(frame, 0.35, grey, 0.3, 0.0)
        overlay: Pixels = cv2.blendLinear(ground, colours, 1.0 - weight, weight)
        return overlay
