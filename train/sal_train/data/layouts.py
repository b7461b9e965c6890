"""Opening a dataset: which of the known trees is this folder?"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from sal_runtime.errors import DataError
from sal_train.data.clip import Clip
from sal_train.data.trees import annotation, kind, per_clip, per_kind, subfolders

LAYOUTS: dict[str, Callable[[Path, str], list[Clip]]] = {
    "annotation": annotation,
    "per-kind": per_kind,
    "per-clip": per_clip,
}
"""The trees of ``trees.py`` by name."""


def open_dataset(root: Path | str, split: str, layout: str | None = None, fps: float | None = None) -> list[Clip]:
    """The clips of one split of a dataset, in order; no frame is read, but every folder is listed and counted.

    Args:
        root: the dataset's folder.
        split: ``train``, ``val`` or ``test``; folders called ``training``, ``validation`` and so on are found too, and
            so is a folder of any other name that is given.
        layout: one of ``LAYOUTS``; None recognises it.
        fps: frames a second of every video, where the folder's own knowledge (a video's header, 30 for DHF1K's frames,
            24 for other folders of frames) is wrong.

    Raises:
        DataError: a folder that is missing or of no known layout, no such split, or files that do not pair.
    """
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; give the one that holds the dataset")
    if layout is not None and layout not in LAYOUTS:
        raise DataError(f"{folder}: layout {layout} is unknown; there are {', '.join(LAYOUTS)}")
    try:
        clips = LAYOUTS[layout or recognise(folder)](folder, split)
    except OSError as exc:
        raise DataError(f"{exc.filename or folder}: cannot be listed ({exc.strerror}); mend its permissions") from exc
    if not clips:
        raise DataError(f"{folder}: the split {split} is empty; unpack it, or take another split")
    return [clip if fps is None or clip.fps is None else replace(clip, fps=fps) for clip in clips]


def recognise(root: Path) -> str:
    """The layout of a dataset's folder, from its sub-folders alone.

    Raises:
        DataError: none of the known ones.
    """
    if (root / "annotation").is_dir():
        return "annotation"
    if kind(root, "images") and (kind(root, "maps") or kind(root, "fixations")):
        return "per-kind"
    below = subfolders(root)
    for folder in below:
        # root/NAME/images, or root/SPLIT/NAME/images
        if kind(folder, "images") or any(kind(clip, "images") for clip in subfolders(folder)[:1]):
            return "per-clip"
    names = ", ".join(path.name for path in below[:6]) or "no folder at all"
    raise DataError(
        f"{root}: no layout that sal-edge knows (found {names}); expected video/ and annotation/ (DHF1K), "
        "images/ beside maps/ and fixations/, or one folder a clip with images/ and maps/ in it"
    )
