"""A session threads the recurrent state through time. This is what people import.

It turns timestamps into ``carry``, starts anew at the first frame, after a gap, at a cut or when the frame size
changes, refuses what does not fit, notices a state that is no longer finite, and can be saved and resumed. It owns no
tensors: the state lies in the backend's stream.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.backends import Stream
from sal_runtime.cuts import look
from sal_runtime.errors import InputError, StateError
from sal_runtime.manifest import Manifest
from sal_runtime.snapshot import Slot, Snapshot, model_identity
from sal_runtime.vision import cv2

MAX_GAP = 2.0
"""Seconds without a frame after which what was seen before counts no more."""


@dataclass(frozen=True)
class Step:
    """What happened in the last step."""

    carry: tuple[float, ...]
    """The share of the old state that entered, a value a slot."""
    restarts: tuple[str | None, ...]
    """Why a slot started anew: ``start asked gap cut size reconnect``; None where it went on."""
    prepare: float
    """Seconds spent resizing and deciding."""
    compute: float
    """Seconds spent in the engine, copies to and from it included."""


class Session:
    """One stream of frames (or a batch of them in lockstep) through a shared engine."""

    def __init__(
        self,
        stream: Stream,
        manifest: Manifest,
        batch: int = 1,
        *,
        alpha: float | None = None,
        max_gap: float = MAX_GAP,
        detect_cuts: bool = False,
    ) -> None:
        """Wrap a fresh stream; ``Engine.stream`` is the usual way here.

        Args:
            stream: the backend's side, with ``batch`` slots.
            manifest: the artifact's contract.
            batch: slots that step together.
            alpha: replaces the artifact's, see :attr:`alpha`.
            max_gap: seconds without a frame after which a slot starts anew.
            detect_cuts: start anew at hard cuts as well.

        Raises:
            InputError: alpha is out of range, or the network has no EMA.
        """
        self.manifest, self.batch, self.max_gap = manifest, batch, max_gap
        self.last: Step | None = None
        self.steps = 0
        self._closed = False
        self._lock = threading.Lock()  # so that nobody closes what another thread is stepping
        self._stream, self._detect_cuts = stream, detect_cuts
        self._alpha: float | None = None
        self.alpha = alpha
        self._slots = [Slot() for _ in range(batch)]
        self._frames = manifest.frame.zeros(batch)
        self._carry = manifest.carry.zeros(batch)

    @property
    def alpha(self) -> float | None:
        """Replaces the artifact's EMA alpha, above 0 to 1; may be changed between two steps. None leaves it."""
        return self._alpha

    @alpha.setter
    def alpha(self, value: float | None) -> None:
        if value is not None:
            if self.manifest.alpha is None:
                raise InputError(f"{self.manifest.model} has no EMA, so there is no alpha to set")
            if not 0.0 < value <= 1.0:
                raise InputError(f"alpha must be above 0 and at most 1, not {value}")
        self._alpha = value

    def step(self, frame: Pixels, timestamp: float | None = None) -> Floats:
        """Advance by one frame.

        Args:
            frame: uint8 [h, w, 3], BGR, of any size; it is resized to the artifact's with INTER_AREA.
            timestamp: seconds on any clock that does not jump; without one, frames come at the reference rate.

        Returns:
            float32 [H, W], 0 to 1, at the artifact's size; the array is the caller's.

        Raises:
            InputError: not such a frame or time, or the session has more than one slot; nothing has changed.
            BackendError: the engine failed; the session is as it was.
            StateError: the map is no longer finite; all slots have been reset.
        """
        if self.batch != 1:
            raise InputError(f"this session steps {self.batch} frames together: use step_batch")
        saliency: Floats = self.step_batch([frame], None if timestamp is None else [timestamp])[0]
        return saliency

    def step_batch(self, frames: Sequence[Pixels], timestamps: Sequence[float] | None = None) -> Floats:
        """Advance every slot by one frame; like :meth:`step`, returning float32 [B, H, W]."""
        began = time.perf_counter()
        self._require_open()
        times = [None] * self.batch if timestamps is None else list(timestamps)
        if len(frames) != self.batch or len(times) != self.batch:
            raise InputError(
                f"{self.batch} slots take as many frames and timestamps, not {len(frames)} and {len(times)}"
            )
        for frame, timestamp in zip(frames, times, strict=True):
            _check(frame, timestamp)
            self._check_size(frame)
        after, restarts = [], []
        height, width = self.manifest.frame_size
        for index, (slot, frame, timestamp) in enumerate(zip(self._slots, frames, times, strict=True)):
            cv2.resize(frame, (width, height), dst=self._frames[index], interpolation=cv2.INTER_AREA)
            # The small frame is enough to see a cut by, and a tenth of the cost.
            cut, shot = look(self._frames[index], slot.shot) if self._detect_cuts else (False, None)
            restart = self._restart(slot, frame, timestamp, cut)
            restarts.append(restart)
            after.append(Slot(timestamp, (frame.shape[0], frame.shape[1]), None, shot))
            self._carry[index, 0] = 0.0 if restart else self._decay(slot, timestamp)
        prepared = time.perf_counter()
        with self._lock:
            self._require_open()
            saliency: Floats = self._stream.step(self._frames, self._carry).copy()
        done = time.perf_counter()
        self._slots = after
        self.steps += 1
        self.last = Step(tuple(self._carry[:, 0].tolist()), tuple(restarts), prepared - began, done - prepared)
        if not np.isfinite(saliency.sum()):
            # Not even carry = 0 forgets an infinity: 0 * inf is not a number.
            with self._lock:
                self._stream.restore([state.input.zeros(self.batch) for state in self.manifest.states])
            self.reset()
            raise StateError(
                f"the map is no longer finite at step {self.steps}, so the state was reset; if it happens again, "
                "export the model in fp32"
            )
        return saliency

    def reset(self, slot: int | None = None, reason: str = "asked") -> None:
        """Let the next frame of one slot, or of all, be a first frame (paper: E = S)."""
        for entry in self._slots if slot is None else [self._slots[slot]]:
            entry.restart = reason

    def snapshot(self) -> Snapshot:
        """State, clocks and what cuts are told by, as of now, to be saved or given to :meth:`restore`."""
        slots = [Slot(s.timestamp, s.size, s.restart, s.shot) for s in self._slots]
        with self._lock:
            self._require_open()
            states = self._stream.snapshot()
        return Snapshot(model_identity(self.manifest), states, slots)

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot, with exactly the maps that would have followed it.

        Raises:
            StateError: the snapshot is of another model or batch, or not finite.
        """
        snapshot.check(self.manifest, self.batch)
        with self._lock:
            self._require_open()
            self._stream.restore(snapshot.states)
        self._slots = [Slot(s.timestamp, s.size, s.restart, s.shot) for s in snapshot.slots]

    def close(self) -> None:
        """Release the stream; twice does no harm. The engine does it too when it is closed."""
        with self._lock:
            if not self._closed:
                self._closed = True
                self._stream.close()

    def _require_open(self) -> None:
        if self._closed:
            raise InputError("this session has been closed; start another stream")

    def _check_size(self, frame: Pixels) -> None:
        """Refuse another size than an artifact that resizes itself was made for: resizing twice would blur."""
        if self.manifest.resizes and frame.shape[:2] != self.manifest.frame_size:
            height, width = self.manifest.frame_size
            raise InputError(
                f"this artifact takes frames of {width}x{height} and makes them small itself, not of "
                f"{frame.shape[1]}x{frame.shape[0]}; export one with --device-resize {frame.shape[0]} {frame.shape[1]}"
            )

    def _restart(self, slot: Slot, frame: Pixels, timestamp: float | None, cut: bool) -> str | None:
        """Why this frame begins anew, or None."""
        if slot.restart:
            return slot.restart
        if slot.size != (frame.shape[0], frame.shape[1]):
            return "size"
        if timestamp is not None and slot.timestamp is not None:
            elapsed = timestamp - slot.timestamp
            if elapsed > self.max_gap or elapsed < 0:
                return "gap"
        return "cut" if cut else None

    def _decay(self, slot: Slot, timestamp: float | None) -> float:
        """``carry`` of a slot that goes on."""
        before = slot.timestamp
        elapsed = 1.0 / self.manifest.reference_fps if timestamp is None or before is None else timestamp - before
        return self.manifest.carry_after(elapsed, self._alpha)


def _check(frame: Pixels, timestamp: float | None) -> None:
    """Refuse what is not a frame, or not a time."""
    if (
        not isinstance(frame, np.ndarray)
        or frame.dtype != np.uint8
        or frame.ndim != 3
        or frame.shape[2] != 3
        or not frame.size
    ):
        found = f"{frame.dtype}{list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise InputError(f"a frame is uint8 [height, width, 3] in BGR order, not {found}")
    if timestamp is not None and not math.isfinite(timestamp):
        raise InputError(f"a timestamp is a number of seconds, not {timestamp}")
