"""Fixations as points, which is what they are: they are moved, never interpolated.

A point is (x, y) as shares of the picture's width and height, 0 to 1; the centre of pixel (column, row) of a picture of
``width`` x ``height`` is ``((column + 0.5) / width, (row + 0.5) / height)``. In these units resizing changes nothing,
mirroring is ``1 - x``, and a pan, zoom or rotation is one affine map.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sal_runtime.arrays import AnyArray

Points: TypeAlias = npt.NDArray[np.float64]
"""float64 [n, 2], (x, y) in shares of width and height."""

Affine: TypeAlias = npt.NDArray[np.float64]
"""float64 [2, 3]: where a point (x, y) of one picture lies in another, both in shares of width and height."""

Mask: TypeAlias = npt.NDArray[np.bool_]
"""bool [H, W], true where somebody looked."""


def to_points(fixations: AnyArray) -> Points:
    """The pixels of [H, W] that are not zero, at their centres."""
    rows, columns = np.nonzero(fixations)
    height, width = fixations.shape
    return np.stack([(columns + 0.5) / width, (rows + 0.5) / height], axis=1)


def to_mask(points: Points, height: int, width: int) -> Mask:
    """bool [height, width] with the points' pixels set; what lies outside is left out, what falls together is one."""
    # The nudge keeps a pixel's own edge in the pixel where 0.29 * 100 is 28.999999999999996.
    x, y = np.floor(points * (width, height) + 1e-9).astype(np.int64).T
    mask = np.zeros((height, width), np.bool_)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    mask[y[inside], x[inside]] = True
    return mask


def resize_fixations(fixations: AnyArray, height: int, width: int) -> Mask:
    """Fixations [h, w] on a picture of another size: every point moves, none is lost, those that meet become one."""
    if fixations.shape == (height, width):
        return np.asarray(fixations != 0)
    return to_mask(to_points(fixations), height, width)


def move(points: Points, affine: Affine) -> Points:
    """Points under an affine map."""
    moved: Points = points @ affine[:, :2].T + affine[:, 2]
    return moved
