"""The ways in which datasets lie on people's disks, each turned into clips.

Three trees cover them all; the names of folders may be singular or plural (see ``KINDS``):

- **per clip**: ``[SPLIT/]NAME/{images,maps,fixation}/…``: Hollywood-2, UCF-Sports, re-packings of DHF1K;
- **annotation**: ``annotation/NNNN/{maps,fixation}`` with ``video/NNN.AVI``, or ``video/NNN/`` of extracted frames, or
  ``annotation/NNNN/images``: DHF1K as it is distributed, and what people make of it;
- **per kind**: ``{images,frames}/[SPLIT/]…`` beside ``maps/`` and ``fixations/``: pictures with equal stems (SALICON
  and any folder of photographs) or one folder a video (DHF1K, unpadded numbers).

Where no folder names the split, the names must be DHF1K's numbers, which do. Maps must be there, except in ``test``,
whose labels some datasets keep to themselves; fixations may be missing altogether.
"""

from __future__ import annotations

import os
from pathlib import Path

from sal_runtime.errors import DataError
from sal_train.data.clip import Clip
from sal_train.data.files import PICTURES, VIDEOS, Folder, natural
from sal_train.data.pairing import frames_clip, stills, video_clip

KINDS = {"images": ("images", "frames"), "maps": ("maps", "map"), "fixations": ("fixations", "fixation")}
"""The names under which the folders of frames, maps and fixations are found."""

SPLITS = {"train": ("train", "training"), "val": ("val", "validation", "valid"), "test": ("test", "testing")}
"""The names under which the folder of a split is found."""

NUMBERS = {"train": range(1, 601), "val": range(601, 701), "test": range(701, 1001)}
"""DHF1K's split by the number of the video; the labels of ``test`` are not public."""


def per_clip(root: Path, split: str) -> list[Clip]:
    """Clips of ``root/[SPLIT/]NAME/{images,maps,fixation}``.

    Raises:
        DataError: no such split, a clip without frames, or frames and maps that do not pair.
    """
    folder = split_folder(root, split)
    return [
        frames_clip(clip.name, _pictures(_images(clip)), _maps(clip, split), kind(clip, "fixations"))
        for clip in _of_split(subfolders(folder or root), root, split, by_number=folder is None)
    ]


def annotation(root: Path, split: str) -> list[Clip]:
    """Clips of DHF1K: ``root/annotation/NNNN`` with its frames inside or in ``root/video``.

    Raises:
        DataError: a video without annotation (but in ``test``) or the reverse, or frames and maps that do not pair.
    """
    labelled = {_number(folder): folder for folder in subfolders(root / "annotation") if folder.name.isdigit()}
    videos = {_number(path): path for path in _videos(root / "video") if path.stem.isdigit()}
    clips = []
    for path in _of_split([*labelled.values(), *(videos[n] for n in videos.keys() - labelled.keys())], root, split):
        video, folder = videos.get(_number(path)), labelled.get(_number(path))
        if folder is None and split != "test":
            raise DataError(f"{path}: no folder for it in {root / 'annotation'}; unpack the annotation again")
        maps, fixations = (_maps(folder, split), kind(folder, "fixations")) if folder else (None, None)
        images = kind(folder, "images") if folder else None
        if images is None and video is None:
            raise DataError(f"{folder}: no video of that number in {root / 'video'}; unpack the videos again")
        if images is None and video is not None and video.is_file():
            clips.append(video_clip(path.stem.zfill(4), video, maps, fixations))
        else:
            clips.append(frames_clip(path.name.zfill(4), _pictures(images or video or path), maps, fixations))
    return clips


def per_kind(root: Path, split: str) -> list[Clip]:
    """Clips or photographs of ``root/images/[SPLIT/]…`` beside ``maps`` and ``fixations``.

    Raises:
        DataError: no such split, a photograph without its map or the reverse, or frames and maps that do not pair.
    """
    images = _images(root)
    inside = split_folder(images, split)
    maps, fixations = (
        _same_split(_maps(root, split), inside, split),
        _same_split(kind(root, "fixations"), inside, split),
    )
    clips = subfolders(inside or images)
    if not clips:
        if inside is None and split_names(images):
            raise DataError(f"{images}: no split {split}; there are {', '.join(split_names(images))}")
        return stills(_pictures(inside or images), maps, fixations)
    return [
        frames_clip(clip.name, _pictures(clip), _beside(maps, clip, split), _beside(fixations, clip, split))
        for clip in _of_split(clips, images, split, by_number=inside is None)
    ]


def kind(folder: Path, what: str) -> Path | None:
    """The sub-folder for ``images``, ``maps`` or ``fixations``; None where there is none."""
    return next((folder / name for name in KINDS[what] if (folder / name).is_dir()), None)


def split_folder(folder: Path, split: str) -> Path | None:
    """The sub-folder of a split, under any of its names."""
    return next((folder / name for name in SPLITS.get(split, (split,)) if (folder / name).is_dir()), None)


def split_names(folder: Path) -> list[str]:
    """The sub-folders whose names are those of splits."""
    return [path.name for path in subfolders(folder) if any(path.name in names for names in SPLITS.values())]


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, hidden ones left out, in natural order."""
    with os.scandir(folder) as entries:
        names = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    return [folder / name for name in sorted(names, key=natural)]


def _of_split(paths: list[Path], root: Path, split: str, by_number: bool = True) -> list[Path]:
    """Those whose number belongs to the split, in order of number, where no folder tells the split."""
    if not by_number:
        return paths
    if split_names(root) or not all(path.stem.isdigit() for path in paths):
        there = split_names(root)
        told = (
            f"there are {', '.join(there)}" if there else "its folders bear neither a split's name nor DHF1K's numbers"
        )
        raise DataError(f"{root}: no split {split}; {told}")
    if split not in NUMBERS:
        raise DataError(f"{root}: no split {split}; DHF1K has {', '.join(NUMBERS)}")
    return sorted((path for path in paths if _number(path) in NUMBERS[split]), key=_number)


def _number(path: Path) -> int:
    """The number that a DHF1K video is called by; -1 for another name."""
    return int(path.stem) if path.stem.isdigit() else -1


def _videos(folder: Path) -> list[Path]:
    """Video files, or folders of extracted frames, of ``folder``, if there is one."""
    if not folder.is_dir():
        return []
    extracted = subfolders(folder)
    return [*extracted, *(folder / name for name in Folder.of(folder, VIDEOS).names)]


def _images(folder: Path) -> Path:
    """The folder of frames."""
    images = kind(folder, "images")
    if images is None:
        raise DataError(f"{folder}: no folder {' or '.join(KINDS['images'])} in it; unpack or extract the frames again")
    return images


def _maps(folder: Path, split: str) -> Path | None:
    """The folder of maps, which only ``test`` may lack."""
    maps = kind(folder, "maps")
    if maps is None and split != "test":
        raise DataError(f"{folder}: no folder {' or '.join(KINDS['maps'])} in it; unpack the maps again")
    return maps


def _pictures(folder: Path) -> Folder:
    """The pictures of a folder, at least one."""
    found = Folder.of(folder)
    if not found:
        raise DataError(f"{folder}: no pictures in it ({' '.join(PICTURES)}); unpack or extract the frames again")
    return found


def _same_split(folder: Path | None, inside: Path | None, split: str) -> Path | None:
    """The folder of maps or fixations for the split that the pictures have."""
    if folder is None or inside is None:
        return folder
    found = split_folder(folder, split)
    if found is None and split != "test":
        raise DataError(f"{folder}: no folder {inside.name} in it; unpack it again")
    return found


def _beside(folder: Path | None, clip: Path, split: str) -> Path | None:
    """The folder of maps or fixations that bears a clip's name."""
    found = folder and folder / clip.name
    if found and not found.is_dir():
        if split != "test":
            raise DataError(f"{clip}: no folder {clip.name} in {folder}; unpack it again")
        return None
    return found
