"""Chance that changes light and colour, not places: fixations stay where they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sal_runtime.arrays import Pixels
from sal_runtime.vision import cv2


@dataclass(frozen=True)
class Colour:
    """Changes of brightness, contrast, gamma, tint and saturation; one draw serves every frame of a clip."""

    strength: float = 1.0
    """Factor on all deviations; 0 changes nothing."""
    grey: float = 0.1
    """Probability of no colour at all, at strength 1."""

    def __call__(self, frames: Pixels, rng: np.random.Generator) -> Pixels:
        """Change uint8 [T, H, W, 3] alike and return the result."""
        if not self.strength:
            return frames
        gain, gamma, saturation = np.exp(rng.normal(0.0, 1.0, 3) * np.array([0.25, 0.15, 0.35]) * self.strength)
        bias, tint = rng.normal(0.0, 20.0 * self.strength), np.exp(rng.normal(0.0, 0.08 * self.strength, 3))
        if rng.random() < self.grey * self.strength:
            saturation = 0.0
        base = 255.0 * (np.arange(256) / 255.0) ** gamma
        table = np.clip((base[:, None] - 118.0) * gain * tint + 118.0 + bias, 0, 255).astype(np.uint8)[None]
        # OpenCV wants two dimensions: the frames of a clip as one tall picture.
        tall: Pixels = cv2.LUT(frames.reshape(-1, *frames.shape[2:]), table)
        if not math.isclose(saturation, 1.0):
            grey = cv2.cvtColor(cv2.cvtColor(tall, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
            tall = cv2.addWeighted(tall, float(saturation), grey, 1.0 - float(saturation), 0.0)
        return tall.reshape(frames.shape)
