"""What a run costs beside its model: ``sal-run``'s own loop on a file, against the model alone on the same frames.

The model alone is the engine's time (``compute``) in a closed loop over the same pictures, decoded before, with nothing
else running. A run is all of :func:`sal_runtime.run.run`: opening the file, decoding, resizing, the model, drawing,
encoding, and the moment the file is whole; its time a frame is all its seconds over all its frames.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sal_bench.alternate import Entry, alternate
from sal_bench.clock import Clock, Monotonic
from sal_bench.footage import KEPT, finite_source, held
from sal_bench.machine import Busy
from sal_bench.measure import Opened, Options, check_counts, gather, make_run, method, open_models, run_name
from sal_bench.ratios import paired_ratio
from sal_bench.report import Report
from sal_bench.scenarios import Single, Turn
from sal_bench.sensors import open_sensors
from sal_bench.warmup import warm_up
from sal_runtime.engine import Engine
from sal_runtime.errors import InputError
from sal_runtime.render import Renderer
from sal_runtime.run import Summary
from sal_runtime.run import run as run_source
from sal_runtime.sinks import Result, Sink
from sal_runtime.sinks.maps import MapFolder
from sal_runtime.sinks.overlay import OverlayVideo
from sal_runtime.sources import public_name

SINKS = ("overlay", "maps")
"""What is written: a video with the map over the frames, or a folder of map images."""
FRAMES = 300
"""Frames of one run unless told otherwise."""
ROUNDS = 6
"""Runs, each beside a turn of the model alone."""
SHORT = 100
"""Frames a run below which opening and closing the files weigh too much."""


class Timed:
    """A sink that notes how long each frame took to write."""

    def __init__(self, sink: Sink, clock: Clock) -> None:
        self._sink, self._clock = sink, clock
        self.path = sink.path
        self.seconds: list[float] = []

    def write(self, result: Result) -> None:
        """Pass it on."""
        began = self._clock.now()
        self._sink.write(result)
        self.seconds.append(self._clock.now() - began)

    def finish(self) -> None:
        """Pass it on."""
        self._sink.finish()

    def publish(self) -> None:
        """Pass it on."""
        self._sink.publish()

    def discard(self) -> None:
        """Pass it on."""
        self._sink.discard()


class EndToEnd:
    """A whole run a turn; a sample is the time from one finished map to the next."""

    name = "end-to-end"
    frames_a_sample = 1

    def __init__(self, engine: Engine, source: str, sink: str, folder: Path, clock: Clock) -> None:
        self._engine, self._source, self._sink, self._folder, self._clock = engine, source, sink, folder, clock
        self.settings: dict[str, Any] = {"pictures": public_name(source), "sink": sink}

    def step(self) -> None:
        """Nothing: a run starts as cold as a user's."""

    def turn(self, samples: int) -> Turn:
        """A run of so many frames, or of the file if it has fewer."""
        source = finite_source(self._source)
        path = self._folder / ("out.mp4" if self._sink == "overlay" else "out")
        inner: Sink
        if self._sink == "overlay":
            inner = OverlayVideo(path, Renderer(), source.fps, source.live, exist_ok=True)
        else:
            inner = MapFolder(path, 8, exist_ok=True)
        sink, turn = Timed(inner, self._clock), Turn()
        began = before = self._clock.now()

        def on_frame(summary: Summary) -> None:
            nonlocal before
            now = self._clock.now()
            turn.add(now - before, **{name: values[-1] for name, values in summary.stages.items()})
            before = now

        session = self._engine.stream(1)
        try:
            run_source(session, source, [sink], max_frames=samples, on_frame=on_frame)
        finally:
            session.close()
        turn.seconds = self._clock.now() - began
        turn.stages["publish"] = [round(value * 1e3, 5) for value in sink.seconds]
        return turn

    def close(self) -> None:
        """Nothing is held."""


class Alone(Single):
    """The model in a closed loop on decoded frames; the sample is the engine's time."""

    name = "alone"

    def turn(self, samples: int) -> Turn:
        """So many frames, timed in the engine."""
        turn = super().turn(samples)
        turn.samples = list(turn.stages["compute"])
        return turn


def measure_end_to_end(
    model: Path,
    source: str,
    sink: str,
    options: Options,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_turn: Callable[[], None] = lambda: None,
) -> Report:
    """Alternate whole runs with the model alone, ``options.frames`` frames of each in ``options.rounds`` turns.

    Raises:
        SalError: the model or the source cannot be opened, the output cannot be written.
    """
    if sink not in SINKS:
        raise InputError(f"there is no sink {sink!r} here; choose from {', '.join(SINKS)}")
    check_counts(options.frames, options.rounds)
    clock, busy = Monotonic(), Busy()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sal-bench-")))
        opened: Opened = open_models([model], options, stack)[0]
        pictures = held(source, count=min(KEPT, options.frames))
        alone, whole = Alone(opened.engine, pictures, clock), EndToEnd(opened.engine, source, sink, folder, clock)
        stack.callback(alone.close)
        entries = [Entry(alone), Entry(whole)]
        sensors = stack.enter_context(open_sensors())
        on_stage("warming up")
        warmup = warm_up(alone.step, clock, options.warm_up)
        on_stage("measuring")
        alternate(entries, options.frames, options.rounds, clock, sensors, on_turn)
        runs = [make_run(run_name(opened.label, entry.scenario.name), opened, entry, warmup) for entry in entries]
    # All seconds over all frames: the file's closing and a slow start count, which a median of intervals would hide.
    own = [math.fsum(turn.samples) / len(turn.samples) for turn in runs[0].rounds]
    all_of_it = [1e3 * turn.seconds / len(turn.samples) for turn in runs[1].rounds]
    cost = paired_ratio(runs[0].name, own, runs[1].name, all_of_it)
    title = f"sal-bench: end to end, {opened.label}"
    told = {
        **method(options),
        "sink": sink,
        "over_the_model": f"{cost.ratio - 1.0:+.1%} ({cost.low - 1.0:+.1%} to {cost.high - 1.0:+.1%}) a frame, all "
        "seconds of a run over its frames, against the model alone",
    }
    table = {"title": "Seconds a frame of a whole run over the model's own", "ratios": [dataclasses.asdict(cost)]}
    each = options.frames // options.rounds
    warnings = [f"a run has {each} frames, of which opening and closing files is a large part"] if each < SHORT else []
    return gather(title, runs, busy, {**told, "comparisons": [table]}, warnings=warnings)
