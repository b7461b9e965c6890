"""Moving a picture and its map by one affine map in shares of width and height, as ``points.py`` moves fixations."""

from __future__ import annotations

import math

import numpy as np

from sal_runtime.arrays import AnyArray, Floats, Pixels
from sal_runtime.vision import cv2
from sal_train.data.points import Affine

IDENTITY: Affine = np.eye(2, 3)
"""Nothing moves."""

MIRROR: Affine = np.array([[-1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
"""Left becomes right."""


def compose(second: Affine, first: Affine) -> Affine:
    """The affine map that does ``first`` and then ``second``."""
    whole: Affine = second[:, :2] @ first
    whole[:, 2] += second[:, 2]
    return whole


def rotation(degrees: float, aspect: float) -> Affine:
    """A rotation about the centre, counter-clockwise to the eye, of a picture ``aspect`` times as wide as high."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    turn = np.array([[cosine, sine / aspect], [-sine * aspect, cosine]])
    return np.column_stack([turn, (0.5, 0.5) - turn @ (0.5, 0.5)])


def shrinking(affine: Affine, source: tuple[int, int], size: tuple[int, int]) -> float:
    """How many pixels of the source [h, w] fall on the side of one pixel of the result [H, W]."""
    area = abs(float(np.linalg.det(affine[:, :2])))
    return math.sqrt(source[0] * source[1] / (size[0] * size[1] * area))


def warp_frame(frame: Pixels, affine: Affine, height: int, width: int, fineness: int = 1) -> Pixels:
    """A frame [h, w, 3] under an affine map, uint8 [height, width, 3]; beyond its edges it is reflected.

    Args:
        frame: the source.
        affine: from the source to the result.
        height, width: of the result.
        fineness: warp to so many times the size and shrink with INTER_AREA, as every frame is shrunk elsewhere; about
            :func:`shrinking`, and the same for all frames of a clip, lest its sharpness jump.
    """
    matrix = _pixels(affine, frame.shape[:2], (height * fineness, width * fineness))
    fine = cv2.warpAffine(frame, matrix, (width * fineness, height * fineness), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(fine if fineness == 1 else shrink(fine, height, width))


def warp_map(density: Floats, affine: Affine, height: int, width: int) -> Floats:
    """A map [h, w] under an affine map, float32 [height, width]; beyond its edges nobody looked."""
    matrix = _pixels(affine, density.shape, (height, width))
    return np.asarray(cv2.warpAffine(density, matrix, (width, height), borderMode=cv2.BORDER_CONSTANT))


def shrink(picture: AnyArray, height: int, width: int) -> AnyArray:
    """A frame or a map at another size, by INTER_AREA: what the contract asks of every frame."""
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA))


def _pixels(affine: Affine, source: tuple[int, ...], size: tuple[int, int]) -> Affine:
    """The affine map between pixel numbers; OpenCV has the centre of the first pixel at 0, shares have it at a half."""
    matrix = affine[:, :2] / (source[1], source[0])
    offset = matrix @ (0.5, 0.5) + affine[:, 2]
    return np.column_stack([matrix, offset]) * [[size[1]], [size[0]]] - [[0.0, 0.0, 0.5]]
