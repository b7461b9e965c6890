"""Frames, maps and fixations that belong together, as clips; what does not pair is a fault of the files on the disk."""

from __future__ import annotations

from pathlib import Path

from sal_runtime.errors import DataError
from sal_train.data.clip import Clip
from sal_train.data.files import Folder
from sal_train.data.video import probe

VIDEO_FPS, ACTION_FPS = 30.0, 24.0
"""Frames a second where only pictures are left: DHF1K's; and the nominal rate of Hollywood-2 and UCF-Sports."""


def frames_clip(name: str, frames: Folder, maps: Path | None, fixations: Path | None) -> Clip:
    """A clip of extracted frames."""
    labels = [_paired(found, frames.numbers(), frames.path) for found in (_labels(maps), _labels(fixations))]
    fps = VIDEO_FPS if name.isdigit() else ACTION_FPS
    return Clip(name, len(frames), fps, frames, *labels)


def video_clip(name: str, video: Path, maps: Path | None, fixations: Path | None) -> Clip:
    """A clip of a video file."""
    frames, fps = probe(video)
    labels = [_paired(found, list(range(1, frames + 1)), video) for found in (_labels(maps), _labels(fixations))]
    return Clip(name, frames, fps, video, *labels)


def stills(images: Folder, maps: Path | None, fixations: Path | None) -> list[Clip]:
    """Photographs, each with the map and the fixations of the same stem."""
    map_of, fixations_of = _by_stem(_labels(maps), images), _by_stem(_labels(fixations), images)
    return [
        Clip(stem, 1, None, Folder(images.path, (name,)), map_of.get(stem), fixations_of.get(stem))
        for stem, name in ((Path(name).stem, name) for name in images.names)
    ]


def _labels(folder: Path | None) -> Folder | None:
    """Maps or fixations: pictures, else ``.mat`` here or in DHF1K's nested ``maps``; None where there is no folder."""
    if folder is None:
        return None
    candidates = [Folder.of(folder), Folder.of(folder, (".mat",))]
    if (folder / "maps").is_dir():
        candidates.append(Folder.of(folder / "maps", (".mat",)))
    return next((found for found in candidates if found), candidates[0])


def _paired(labels: Folder | None, numbers: list[int], source: Path) -> Folder | None:
    """Hold one label a frame against the frames: as many, and numbered without a gap where the frames have none."""
    if labels is None:
        return None
    found = labels.numbers()
    if len(found) != len(numbers):
        raise DataError(
            f"{labels.path}: {len(found)} files for the {len(numbers)} frames of {source}; unpack or extract them again"
        )
    for place, (label, frame) in enumerate(zip(found, numbers, strict=True)):
        if label - frame != found[0] - numbers[0]:
            raise DataError(
                f"{labels[place]}: does not belong to frame {frame} of {source}; unpack or extract them again"
            )
    return labels


def _by_stem(labels: Folder | None, images: Folder) -> dict[str, Folder]:
    """Labels by stem, exactly those of the photographs; none where there is no folder of them."""
    if labels is None:
        return {}
    found = {Path(name).stem: Folder(labels.path, (name,)) for name in labels.names}
    for name in images.names:
        if Path(name).stem not in found:
            raise DataError(f"{images.path / name}: no file of that name in {labels.path}; unpack them again")
    if len(found) != len(images):
        extra = min(found.keys() - {Path(name).stem for name in images.names})
        raise DataError(f"{found[extra][0]}: no picture of that name in {images.path}; unpack them again")
    return found
