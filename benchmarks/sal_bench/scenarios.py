"""The ways of using a model that are timed: closed loop, a stream of arrivals, many streams.

``single``: the next frame starts when the last is done. ``stream``: frames arrive at a given rate whether or not the
model is ready; the newest wins, as in the runtime, and latency counts from arrival. ``batch``: many streams, each with
its own state, together in one step where the artifact takes a batch, else one after the other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from sal_bench.clock import Clock
from sal_bench.footage import Held, Pictures
from sal_runtime.engine import Engine
from sal_runtime.errors import InputError
from sal_runtime.session import Session


@dataclass
class Turn:
    """Samples as they come, in milliseconds."""

    samples: list[float] = field(default_factory=list)
    """Latencies."""
    stages: dict[str, list[float]] = field(default_factory=dict)
    """Parts of each."""
    seconds: float = 0.0
    """From first to last."""
    dropped: int = 0
    """Frames overtaken by newer ones."""
    late: int = 0
    """Frames after their deadline."""

    def add(self, seconds: float, **stages: float) -> None:
        """Append a sample and its parts, given in seconds."""
        self.samples.append(round(seconds * 1e3, 5))
        for name, value in stages.items():
            self.stages.setdefault(name, []).append(round(value * 1e3, 5))


class Scenario(Protocol):
    """A way of use, ready to be timed."""

    name: str
    frames_a_sample: int
    settings: dict[str, Any]
    """What it was told, for the report."""

    def step(self) -> None:
        """Once, for warming up."""

    def turn(self, samples: int) -> Turn:
        """Take so many samples."""

    def close(self) -> None:
        """Release streams and files, not the engine."""


class Single:
    """Closed loop. Latency is from asking for the frame to its map: decoding counts where the pictures need it."""

    name = "single"
    frames_a_sample = 1

    def __init__(self, engine: Engine, pictures: Pictures, clock: Clock) -> None:
        self._session, self._pictures, self._clock = engine.stream(1), pictures, clock
        self.settings: dict[str, Any] = {"pictures": pictures.told}

    def step(self) -> None:
        """One frame."""
        self.turn(1)

    def turn(self, samples: int) -> Turn:
        """So many frames."""
        turn, began = Turn(), self._clock.now()
        for _ in range(samples):
            started = self._clock.now()
            picture, decode, again = self._pictures.next()
            if again:
                self._session.reset()
            self._session.step(picture)
            done = self._clock.now()
            last = self._session.last
            assert last is not None
            decoded = {} if decode is None else {"decode": decode}
            turn.add(done - started, **decoded, prepare=last.prepare, compute=last.compute)
        turn.seconds = self._clock.now() - began
        return turn

    def close(self) -> None:
        """Release stream and clip."""
        self._session.close()
        self._pictures.close()


class ArrivingStream:
    """Frames at a rate. Latency is from arrival to map; the time a frame waited is the stage ``wait``."""

    name = "stream"
    frames_a_sample = 1

    def __init__(self, engine: Engine, pictures: Held, clock: Clock, rate: float, deadline: float | None) -> None:
        """``rate`` in frames a second; ``deadline`` in seconds after arrival, by default when the next frame comes."""
        if not (math.isfinite(rate) and rate > 0):
            raise InputError(f"--rate is a number of frames a second above 0, not {rate}")
        self._session, self._pictures, self._clock = engine.stream(1), pictures, clock
        self._rate, self._deadline = rate, 1.0 / rate if deadline is None else deadline
        self.settings: dict[str, Any] = {
            "pictures": pictures.told,
            "rate": rate,
            "deadline_ms": round(self._deadline * 1e3, 3),
        }

    def step(self) -> None:
        """One frame, in a closed loop."""
        self._session.step(self._pictures.next()[0])

    def turn(self, samples: int) -> Turn:
        """Until so many frames went through the model."""
        turn, clock = Turn(), self._clock
        first = clock.now()
        done_last, ended = -1, first
        while len(turn.samples) < samples:
            # The newest frame that has arrived, or the next one that will.
            newest = math.floor((clock.now() - first) * self._rate + 1e-9)
            index = max(newest, done_last + 1)
            turn.dropped += index - done_last - 1
            done_last = index
            arrival = first + index / self._rate
            clock.wait_until(arrival)
            picture = self._pictures.at(index).next()[0]
            started = clock.now()
            self._session.step(picture, arrival)
            ended = clock.now()
            last = self._session.last
            assert last is not None
            turn.add(ended - arrival, wait=started - arrival, prepare=last.prepare, compute=last.compute)
            turn.late += ended - arrival > self._deadline
        turn.seconds = ended - first
        return turn

    def close(self) -> None:
        """Release the stream."""
        self._session.close()


class ManyStreams:
    """Many cameras. A sample is one round through all of them: each advanced by a frame."""

    name = "batch"

    def __init__(self, engine: Engine, pictures: Held, clock: Clock, streams: int) -> None:
        if streams < 1:
            raise InputError(f"--streams is at least 1, not {streams}")
        fixed = engine.manifest.batch
        together = streams if fixed is None else fixed
        if streams % together:
            raise InputError(f"the artifact steps {together} frames together: --streams is a multiple of {together}")
        self._sessions: Sequence[Session] = [engine.stream(together) for _ in range(streams // together)]
        self._together, self._clock = together, clock
        self._cameras = [pictures.at(17 * camera) for camera in range(streams)]
        self.frames_a_sample = streams
        self.settings: dict[str, Any] = {"pictures": pictures.told, "streams": streams, "together": together}

    def step(self) -> None:
        """One round."""
        self.turn(1)

    def turn(self, samples: int) -> Turn:
        """So many rounds."""
        turn, began = Turn(), self._clock.now()
        for _ in range(samples):
            started = self._clock.now()
            prepare = compute = 0.0
            for number, session in enumerate(self._sessions):
                cameras = self._cameras[number * self._together : (number + 1) * self._together]
                session.step_batch([camera.next()[0] for camera in cameras])
                assert session.last is not None
                prepare, compute = prepare + session.last.prepare, compute + session.last.compute
            turn.add(self._clock.now() - started, prepare=prepare, compute=compute)
        turn.seconds = self._clock.now() - began
        return turn

    def close(self) -> None:
        """Release the streams."""
        for session in self._sessions:
            session.close()
