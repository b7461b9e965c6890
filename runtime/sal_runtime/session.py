"""A session threads the recurrent state through time. This is what people import.

It turns timestamps into ``carry``, starts anew at the first frame, after a gap, at a cut or when the frame size
changes, refuses what does not fit, notices a state that is no longer finite, and can be saved and resumed. It owns no
tensors: the state lies in the backend's stream.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.backends import Stream
from sal_runtime.cuts import CutDetector
from sal_runtime.errors import InputError, StateError
from sal_runtime.manifest import Manifest
from sal_runtime.snapshot import Snapshot, model_identity
from sal_runtime.vision import cv2

MAX_GAP = 2.0
"""Seconds without a frame after which what was seen before counts no more."""


@dataclass(frozen=True)
class Step:
    """What happened in the last step."""

    carry: tuple[float, ...]
    """The share of the old state that entered, a value a slot."""
    restarts: tuple[str | None, ...]
    """Why a slot started anew: ``start``, ``asked``, ``gap``, ``cut``, ``size``; None where it went on."""
    prepare: float
    """Seconds spent resizing and deciding."""
    compute: float
    """Seconds spent in the engine, copies to and from it included."""


@dataclass
class _Clock:
    """What a slot remembers of its last frame, beside the state."""

    timestamp: float | None = None
    size: tuple[int, int] | None = None
    restart: str | None = "start"


@dataclass
class Session:
    """One stream of frames (or a batch of them in lockstep) through a shared engine."""

    stream: Stream
    """The backend's side: buffers and the step."""
    manifest: Manifest
    """The artifact's contract."""
    batch: int = 1
    """Slots that step together."""
    alpha: float | None = None
    """Replaces the artifact's alpha; may be changed between two steps."""
    max_gap: float = MAX_GAP
    """Seconds without a frame after which a slot starts anew."""
    cuts: list[CutDetector] | None = None
    """One detector a slot, or None."""
    last: Step | None = field(default=None, init=False)
    """What happened in the last step; None before the first."""
    steps: int = field(default=0, init=False)
    """Steps done so far."""

    def __post_init__(self) -> None:
        if self.alpha is not None:
            if self.manifest.alpha is None:
                raise InputError(f"{self.manifest.model} has no EMA, so there is no alpha to set")
            if not 0.0 < self.alpha <= 1.0:
                raise InputError(f"alpha must be above 0 and at most 1, not {self.alpha}")
        self._clocks = [_Clock() for _ in range(self.batch)]
        self._frames = self.manifest.frame.zeros(self.batch)
        self._carry = self.manifest.carry.zeros(self.batch)

    def step(self, frame: Pixels, timestamp: float | None = None) -> Floats:
        """Advance by one frame.

        Args:
            frame: uint8 [h, w, 3], BGR, of any size; it is resized to the artifact's with INTER_AREA.
            timestamp: seconds on any clock that does not jump; without one, frames come at the reference rate.

        Returns:
            float32 [H, W], 0 to 1, at the artifact's size; the array is the caller's.

        Raises:
            InputError: not such a frame, or the session has more than one slot.
            BackendError: the engine failed; the state is as it was.
            StateError: the map is no longer finite; all slots have been reset.
        """
        if self.batch != 1:
            raise InputError(f"this session steps {self.batch} frames together: use step_batch")
        saliency: Floats = self.step_batch([frame], None if timestamp is None else [timestamp])[0]
        return saliency

    def step_batch(self, frames: Sequence[Pixels], timestamps: Sequence[float] | None = None) -> Floats:
        """Advance every slot by one frame; like :meth:`step`, returning float32 [B, H, W]."""
        began = time.perf_counter()
        times = [None] * self.batch if timestamps is None else list(timestamps)
        if len(frames) != self.batch or len(times) != self.batch:
            raise InputError(
                f"{self.batch} slots take as many frames and timestamps, not {len(frames)} and {len(times)}"
            )
        restarts = []
        for slot, (frame, timestamp) in enumerate(zip(frames, times, strict=True)):
            self._check(frame)
            cv2.resize(
                frame, (self.manifest.width, self.manifest.height), dst=self._frames[slot], interpolation=cv2.INTER_AREA
            )
            restart = self._restart(slot, frame, timestamp)
            restarts.append(restart)
            self._carry[slot, 0] = 0.0 if restart else self._decay(slot, timestamp)
        prepared = time.perf_counter()
        saliency: Floats = self.stream.step(self._frames, self._carry).copy()
        done = time.perf_counter()
        for clock, frame, timestamp in zip(self._clocks, frames, times, strict=True):
            clock.timestamp, clock.size, clock.restart = timestamp, (frame.shape[0], frame.shape[1]), None
        self.steps += 1
        self.last = Step(tuple(self._carry[:, 0].tolist()), tuple(restarts), prepared - began, done - prepared)
        if not np.isfinite(saliency.sum()):
            # Not even carry = 0 forgets an infinity: 0 * inf is not a number.
            self.stream.restore([state.input.zeros(self.batch) for state in self.manifest.states])
            self.reset()
            raise StateError(
                f"the map is no longer finite at step {self.steps}, so the state was reset; if it happens again, "
                "export the model in fp32"
            )
        return saliency

    def reset(self, slot: int | None = None) -> None:
        """Let the next frame of one slot, or of all, be a first frame (paper: E = S)."""
        for clock in self._clocks if slot is None else [self._clocks[slot]]:
            clock.restart = "asked"

    def snapshot(self) -> Snapshot:
        """State and clocks as of now, to be saved or given to :meth:`restore`."""
        return Snapshot(
            model=model_identity(self.manifest),
            states=self.stream.snapshot(),
            timestamps=[clock.timestamp for clock in self._clocks],
            sizes=[clock.size for clock in self._clocks],
            restarts=[clock.restart for clock in self._clocks],
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, with exactly the maps that would have followed it.

        Raises:
            StateError: the snapshot is of another model or batch, or not finite.
        """
        snapshot.check(self.manifest, self.batch)
        self.stream.restore(snapshot.states)
        self._clocks = [
            _Clock(*values) for values in zip(snapshot.timestamps, snapshot.sizes, snapshot.restarts, strict=True)
        ]

    def close(self) -> None:
        """Release the stream."""
        self.stream.close()

    def _check(self, frame: Pixels) -> None:
        if (
            not isinstance(frame, np.ndarray)
            or frame.dtype != np.uint8
            or frame.ndim != 3
            or frame.shape[2] != 3
            or not frame.size
        ):
            found = f"{frame.dtype}{list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
            raise InputError(f"a frame is uint8 [height, width, 3] in BGR order, not {found}")

    def _restart(self, slot: int, frame: Pixels, timestamp: float | None) -> str | None:
        """Why this frame begins anew, or None. The cut detector sees every frame, whatever else is found."""
        clock = self._clocks[slot]
        cut = self.cuts is not None and self.cuts[slot](frame)
        if clock.restart:
            return clock.restart
        if clock.size != (frame.shape[0], frame.shape[1]):
            return "size"
        if timestamp is not None and clock.timestamp is not None:
            elapsed = timestamp - clock.timestamp
            if elapsed > self.max_gap or elapsed < 0:
                return "gap"
        return "cut" if cut else None

    def _decay(self, slot: int, timestamp: float | None) -> float:
        """``carry`` of a slot that goes on."""
        before = self._clocks[slot].timestamp
        elapsed = 1.0 / self.manifest.reference_fps if timestamp is None or before is None else timestamp - before
        return self.manifest.carry_after(elapsed, self.alpha)
