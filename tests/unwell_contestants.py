"""Contestants for the tests of the contest: one that works, and one for each way of failing. Opened in workers."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.errors import BackendError


class Brightness:
    """The map is the picture's brightness, 0 to 1, averaged with what was; it can be told to fail in a step."""

    engine = "paper 1"

    def __init__(self, sleep: float = 0.0, fails: bool = False) -> None:
        self._sleep, self._fails = sleep, fails
        self._state: Floats | None = None

    def step(self, frame: Pixels) -> Floats:
        time.sleep(self._sleep)
        if self._fails:
            raise BackendError("the engine refused\nand said more")
        seen: Floats = frame.mean(axis=2, dtype=np.float32) / np.float32(255)
        state: Floats = seen if self._state is None else (seen + self._state) * np.float32(0.5)
        self._state = state
        return state

    def restart(self) -> None:
        self._state = None


def well(path: Path, threads: int | None, sleep: float = 0.0, fails: bool = False) -> Brightness:
    return Brightness(sleep, fails)


def refuses(path: Path, threads: int | None) -> Brightness:
    raise ModuleNotFoundError("No module named 'fast_engine.core'", name="fast_engine.core")
