"""Looking through a dataset before a long run, so that its faults are told at once and together."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sal_train.data.clip import Clip


def constant_maps(clips: Sequence[Clip], workers: int = 2) -> list[Path]:
    """The maps that are empty or constant; training and evaluation leave those frames out and count them.

    Reads every map: minutes for DHF1K, seconds for photographs. Clips without maps have nothing to look through.

    Raises:
        DataError: the first map that cannot be read.
    """

    def of(clip: Clip) -> list[Path]:
        folder = clip.maps
        if folder is None:
            return []
        return [folder[index] for index in range(clip.frames) if clip.usable_map(index) is None]

    with ThreadPoolExecutor(workers, thread_name_prefix="scan") as pool:
        return [path for found in pool.map(of, clips) for path in found]
