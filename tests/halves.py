"""Videos of which the left or the right half is bright, where people look: scores can be worked out on paper.

The tiny artifact's map is the EMA of brightness, so on a half-bright frame NSS at a bright pixel is ``NSS`` and CC with
the half's map is 1; where the map still shows the other half, both change their sign.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from sal_runtime.arrays import AnyArray
from tiny import HEIGHT, WIDTH
from trees import write

NSS = math.sqrt((HEIGHT * WIDTH - 1) / (HEIGHT * WIDTH))
"""(1 - 0.5) / deviation, with N - 1: the NSS of a map of two equal halves at a pixel of the brighter one."""


def half(side: str) -> AnyArray:
    """uint8 [HEIGHT, WIDTH], white on the side ``L`` or ``R``; black all over for ``0``."""
    found = np.zeros((HEIGHT, WIDTH), np.uint8)
    found[:, {"L": slice(0, WIDTH // 2), "R": slice(WIDTH // 2, WIDTH), "0": slice(0, 0)}[side]] = 255
    return found


def fixation(side: str) -> AnyArray:
    """One fixation in the middle of the side, or none."""
    found = np.zeros((HEIGHT, WIDTH), np.uint8)
    if side != "0":
        found[HEIGHT // 2, {"L": WIDTH // 4, "R": 3 * WIDTH // 4}[side]] = 255
    return found


def halves(
    root: Path,
    videos: dict[str, str],
    looked: dict[str, str] | None = None,
    mapped: dict[str, str] | None = None,
    split: str = "val",
    with_fixations: bool = True,
) -> Path:
    """A dataset of one folder a clip.

    Args:
        root: where.
        videos: name and sides of the frames, such as ``{"a": "LRL"}``.
        looked: sides of the fixations, where they differ from the frames.
        mapped: sides of the maps, where they differ from the frames.
        split: the folder's.
        with_fixations: whether there are any.
    """
    for name, sides in videos.items():
        clip = root / split / name
        others = ((looked or {}).get(name, sides), (mapped or {}).get(name, sides))
        for number, (side, eye, density) in enumerate(zip(sides, *others, strict=True), 1):
            write(clip / "images" / f"{number}.png", np.repeat(half(side)[:, :, None], 3, axis=2))
            write(clip / "maps" / f"{number}.png", half(density))
            if with_fixations:
                write(clip / "fixation" / f"{number}.png", fixation(eye))
    return root


def noise(root: Path, videos: dict[str, int], height: int = 48, width: int = 80) -> Path:
    """Videos of noise that drifts, with maps and fixations of chance: for networks, whose scores are what they are."""
    for seed, (name, frames) in enumerate(videos.items()):
        rng = np.random.default_rng(seed)
        picture = rng.integers(0, 256, (height, width, 3), np.uint8)
        for number in range(1, frames + 1):
            clip = root / "val" / name
            write(clip / "images" / f"{number}.png", np.roll(picture, 5 * number, axis=1))
            write(clip / "maps" / f"{number}.png", rng.integers(0, 256, (height, width), np.uint8))
            write(clip / "fixation" / f"{number}.png", np.uint8(255) * (rng.random((height, width)) < 0.02))
    return root
