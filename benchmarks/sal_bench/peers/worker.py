"""A contestant's process: opens it, then does what it is told over a pipe, one thing at a time.

Commands are tuples whose first entry names them, answers are ``("done", value)`` or ``("failed", sentence)``; the first
answer, unasked for, is whether it could be opened. A failed worker ends.
"""

from __future__ import annotations

import dataclasses
import importlib
import signal
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from sal_bench.alternate import SETTLE, quiet_collector
from sal_bench.clock import Monotonic
from sal_bench.peers.contestants import Contestant
from sal_bench.peers.stepper import Stepper
from sal_bench.warmup import warm_up
from sal_runtime.arrays import Floats, Pixels
from sal_runtime.errors import first_line


class _Contest:
    """The commands."""

    def __init__(self, stepper: Stepper, frames: Pixels) -> None:
        self._stepper, self._frames, self._position = stepper, frames, 0

    def warm(self, seconds: float) -> dict[str, Any]:
        """Until it is warm; the record of it."""
        return dataclasses.asdict(warm_up(self._next, Monotonic(), seconds))

    def turn(self, samples: int) -> dict[str, Any]:
        """So many steps, timed: milliseconds each, seconds in all, processor seconds of this process so far."""
        taken = []
        with quiet_collector():
            for _ in range(SETTLE):
                self._next()
            began = time.perf_counter()
            for _ in range(samples):
                frame = self._frame()
                before = time.perf_counter()
                self._stepper.step(frame)
                taken.append(round((time.perf_counter() - before) * 1e3, 5))
            seconds = time.perf_counter() - began
        return {"samples": taken, "seconds": seconds, "processor": time.process_time()}

    def maps(self, count: int) -> Floats:
        """The maps of the first ``count`` frames from a fresh state, float32 [n, H, W]."""
        self._stepper.restart()
        return np.stack([np.array(self._stepper.step(frame), np.float32) for frame in self._frames[:count]])

    def _next(self) -> None:
        self._stepper.step(self._frame())

    def _frame(self) -> Pixels:
        frame: Pixels = self._frames[self._position % len(self._frames)]
        self._position += 1
        return frame


def serve(pipe: Connection, contestant: Contestant, material: Path, frames: Path, threads: int | None) -> None:
    """The process: open the contestant, then answer until told to end or left alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    try:
        module, _, function = contestant.opens.partition(":")
        stepper = getattr(importlib.import_module(module), function)(material, threads, **contestant.options)
        contest = _Contest(stepper, np.load(frames))
    except Exception as exc:  # whatever keeps a contestant away is told in its place of the report
        pipe.send(("failed", sentence(exc)))
        return
    pipe.send(("done", stepper.engine))
    commands: dict[str, Callable[..., Any]] = {"warm": contest.warm, "turn": contest.turn, "maps": contest.maps}
    while True:
        try:
            name, *arguments = pipe.recv()
        except EOFError:
            return
        if name == "end":
            return
        try:
            pipe.send(("done", commands[name](*arguments)))
        except Exception as exc:
            pipe.send(("failed", sentence(exc)))
            return


def sentence(exc: Exception) -> str:
    """An exception in a line."""
    if isinstance(exc, ModuleNotFoundError) and exc.name:
        return f"{exc.name.split('.')[0]} is not installed"
    return first_line(exc)[:300]
