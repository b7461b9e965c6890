"""Small datasets on the disk, one function a layout, for the tests.

Frame number n is grey 10 n, its map is bright at columns n and n + 1, its one fixation lies at row 5, column n: what
was read can be told from a single pixel.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from sal_runtime.arrays import AnyArray
from sal_runtime.errors import OutputError
from sal_runtime.vision import cv2

HEIGHT, WIDTH = 36, 64


def picture(number: int) -> AnyArray:
    """A grey frame whose brightness tells its number."""
    return np.full((HEIGHT, WIDTH, 3), 10 * number, np.uint8)


def density(number: int) -> AnyArray:
    """A map that is bright at column ``number``."""
    found = np.zeros((HEIGHT, WIDTH), np.uint8)
    found[:, number : number + 2] = 255
    return found


def fixations(number: int) -> AnyArray:
    """One fixation, at row 5 and column ``number``."""
    found = np.zeros((HEIGHT, WIDTH), np.uint8)
    found[5, number] = 255
    return found


def write(path: Path, image: AnyArray) -> Path:
    """A picture, its folder made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), image):
        raise OutputError(f"{path}: cannot be written")
    return path


def fill(folder: Path, name: str, of: Callable[[int], AnyArray], numbers: Iterable[int]) -> None:
    """Pictures of several numbers; ``name`` is a format."""
    for number in numbers:
        write(folder / name.format(number), of(number))


def write_video(path: Path, frames: int, fps: float = 30.0, codec: str = "MJPG") -> Path:
    """A tiny video."""
    path.parent.mkdir(parents=True, exist_ok=True)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise OutputError(f"{path}: this OpenCV cannot write {codec}")
    for number in range(1, frames + 1):
        writer.write(picture(number))
    writer.release()
    return path


def dhf1k(root: Path, videos: dict[int, int], source: str = "avi") -> Path:
    """DHF1K as distributed (``avi``), with extracted frames in video/ (``frames``), or in annotation/ (``images``)."""
    for video, count in videos.items():
        folder, numbers = root / "annotation" / f"{video:04d}", range(1, count + 1)
        if source == "avi":
            write_video(root / "video" / f"{video:03d}.AVI", count)
        elif source == "frames":
            fill(root / "video" / f"{video:03d}", "{:04d}.png", picture, numbers)
        else:
            fill(folder / "images", "{:04d}.png", picture, numbers)
        if video <= 700:
            fill(folder / "maps", "{:04d}.png", density, numbers)
            fill(folder / "fixation", "{:04d}.png", fixations, numbers)
            (folder / "fixation" / "maps").mkdir()
    return root


def dhf1k_unpadded(root: Path, videos: dict[int, int]) -> Path:
    """frames/N/N.png beside maps/N and fixations/N."""
    for video, count in videos.items():
        for kind, of in (("frames", picture), ("maps", density), ("fixations", fixations)):
            if kind == "frames" or video <= 700:
                fill(root / kind / str(video), "{}.png", of, range(1, count + 1))
    return root


def per_clip(root: Path, clips: dict[str, tuple[str, range]], with_fixations: bool = True) -> Path:
    """[SPLIT/]NAME/{images,maps,fixation}; each clip with a format of its files and their numbers."""
    for clip, (name, numbers) in clips.items():
        fill(root / clip / "images", name, picture, numbers)
        fill(root / clip / "maps", name, density, numbers)
        if with_fixations:
            fill(root / clip / "fixation", name, fixations, numbers)
    return root


def stills(root: Path, split: str, names: list[str], mat: bool = False) -> Path:
    """images/, maps/, fixations/ with equal stems under a split; the k-th photograph has its fixation at column k."""
    for number, name in enumerate(names, 1):
        write(root / "images" / split / f"{name}.jpg", picture(number))
        write(root / "maps" / split / f"{name}.png", density(number))
        if mat:
            write_salicon(root / "fixations" / split / f"{name}.mat", [[(number + 1, 6)], []])
        else:
            write(root / "fixations" / split / f"{name}.png", fixations(number))
    return root


def write_salicon(path: Path, observers: list[list[tuple[int, int]]]) -> None:
    """SALICON's fixations: for each observer a record whose third field is the (x, y) pairs, from 1."""
    savemat = importlib.import_module("scipy.io").savemat
    fields: list[tuple[str, Any]] = [("location", object), ("timestamp", object), ("fixations", object)]
    gaze = np.zeros((len(observers), 1), fields)
    for number, pairs in enumerate(observers):
        gaze[number, 0] = (np.zeros((3, 2)), np.zeros((3, 1)), np.array(pairs, np.uint16).reshape(-1, 2))
    path.parent.mkdir(parents=True, exist_ok=True)
    savemat(path, {"gaze": gaze, "resolution": np.array([[HEIGHT, WIDTH]])})
