"""Reading the files of a dataset: pictures, saliency maps and fixations, each fault as one sentence."""

from __future__ import annotations

import importlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sal_runtime.arrays import AnyArray, Pixels
from sal_runtime.errors import DataError, MissingDependency
from sal_runtime.vision import cv2
from sal_train.data.points import Mask

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Suffixes of pictures, in lower case."""

VIDEOS = (".avi", ".mp4", ".mov", ".mkv", ".m4v", ".webm", ".mpg")
"""Suffixes of videos, in lower case."""


@dataclass(frozen=True)
class Folder:
    """The files of one folder that belong together, in natural order; names only, a data set has a million of them."""

    path: Path
    """The folder."""
    names: tuple[str, ...]
    """Names of the files; ``2.png`` stands before ``10.png``."""

    @classmethod
    def of(cls, path: Path, suffixes: tuple[str, ...] = PICTURES) -> Folder:
        """The files of a folder that have one of the suffixes; hidden ones and sub-folders do not count."""
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries if _suffix(entry.name) in suffixes and entry.name[0] != "."]
        return cls(path, tuple(sorted(names, key=natural)))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Path:
        return self.path / self.names[index]

    def numbers(self) -> list[int]:
        """The last number in each name, which in every layout is the frame's; its place where it has none."""
        digits = [re.findall(r"\d+", name.rpartition(".")[0]) for name in self.names]
        return [int(found[-1]) if found else place for place, found in enumerate(digits)]


def natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorting key that compares runs of digits as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts], name


def _suffix(name: str) -> str:
    """The suffix in lower case, with its dot."""
    return "." + name.rpartition(".")[2].lower()


def read_picture(path: Path) -> Pixels:
    """A frame, uint8 [H, W, 3], BGR.

    Raises:
        DataError: the file is missing, damaged or no picture.
    """
    return np.asarray(_decode(path, cv2.IMREAD_COLOR), np.uint8)


def read_map(path: Path) -> AnyArray:
    """A saliency map as it lies there, uint8 [H, W]; deeper maps are brought to 8 bits.

    Raises:
        DataError: the file is missing, damaged or no picture.
    """
    return np.asarray(_decode(path, cv2.IMREAD_GRAYSCALE), np.uint8)


def read_fixations(path: Path) -> Mask:
    """Fixated pixels, bool [H, W], from a picture (not zero) or a ``.mat`` of DHF1K or SALICON.

    Raises:
        DataError: the file is missing, damaged, or holds no fixations in a known form.
        MissingDependency: a ``.mat`` and no SciPy.
    """
    if path.suffix.lower() != ".mat":
        fixated: Mask = read_map(path) > 0
        return fixated
    variables = _load_mat(path)
    try:
        if "I" in variables:  # DHF1K: the mask itself
            shown: Mask = np.atleast_2d(variables["I"]) > 0
            return shown
        height, width = (int(side) for side in np.ravel(variables["resolution"])[:2])
        mask = np.zeros((height, width), np.bool_)
        for observer in np.ravel(variables["gaze"]):
            pairs = np.asarray(np.ravel(observer)[0][2], np.float64).reshape(-1, 2)
            x, y = np.rint(pairs).astype(np.int64).T - 1  # SALICON: x, y from 1
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            mask[y[inside], x[inside]] = True
    except (KeyError, IndexError, TypeError, ValueError) as exc:
        raise DataError(
            f"{path}: holds neither DHF1K's variable I nor SALICON's gaze and resolution ({exc}); "
            "fetch the file again or remove it"
        ) from exc
    return mask


def _decode(path: Path, flag: int) -> AnyArray:
    """Read and decode one picture."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as exc:
        raise DataError(f"{path}: cannot be read ({exc.strerror}); fetch the file again") from exc
    picture: AnyArray | None = cv2.imdecode(data, flag) if data.size else None
    if picture is None:
        raise DataError(f"{path}: is damaged or not a picture; fetch the file again or remove it")
    return picture


def _load_mat(path: Path) -> dict[str, Any]:
    """The variables of a MATLAB file."""
    try:
        loadmat = importlib.import_module("scipy.io").loadmat
    except ImportError as exc:
        raise MissingDependency(
            f"{path} is a MATLAB file and SciPy is not installed: pip install 'sal-edge[train]'"
        ) from exc
    try:
        with path.open("rb") as file:
            variables: dict[str, Any] = loadmat(file)
    except OSError as exc:
        raise DataError(f"{path}: cannot be read ({exc.strerror or exc}); fetch the file again") from exc
    except Exception as exc:  # SciPy raises what its parser stumbles over: ValueError, TypeError, zlib.error
        raise DataError(f"{path}: is damaged or not a MATLAB file ({exc}); fetch the file again") from exc
    return variables
