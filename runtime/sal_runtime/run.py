"""The run: a source's frames through a session into sinks, with progress and a summary.

The three stages overlap: a thread decodes ahead, this one steps the model, another draws and encodes.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sal_runtime.feed import Feed
from sal_runtime.publish import Publisher
from sal_runtime.session import Session
from sal_runtime.sinks import Result, Sink
from sal_runtime.sinks.jsonl import stages
from sal_runtime.sinks.window import Window
from sal_runtime.sources import Source

_KEPT = 10_000
"""Frames whose stage times are kept for the summary."""


@dataclass
class Summary:
    """What a run did."""

    frames: int = 0
    """Frames that went through the model."""
    dropped: int = 0
    """Frames of a live source that were overtaken by newer ones."""
    seconds: float = 0.0
    """From the first frame asked for to the last file closed."""
    restarts: Counter[str] = field(default_factory=Counter)
    """How often the state began anew, by reason."""
    stages: dict[str, deque[float]] = field(default_factory=dict)
    """Seconds of the latest frames, by stage; bounded, since a camera may run for months."""
    stopped: bool = False
    """Whether the user ended it."""
    outputs: list[Path] = field(default_factory=list)
    """Files that appeared."""

    @property
    def fps(self) -> float:
        """Frames a second over the whole run."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0

    def medians(self) -> dict[str, float]:
        """Median milliseconds a frame, by stage."""
        return {name: statistics.median(values) * 1000.0 for name, values in self.stages.items() if values}


def run(
    session: Session,
    source: Source,
    sinks: Sequence[Sink],
    *,
    window: Window | None = None,
    max_frames: int | None = None,
    clock_from: float = 0.0,
    stopped: Callable[[], bool] = lambda: False,
    on_frame: Callable[[Summary], None] = lambda summary: None,
) -> Summary:
    """Run until the source ends, ``max_frames`` are done, ``stopped()`` or the window is closed; then files appear.

    Args:
        session: fresh or restored.
        source: opened; closed here.
        sinks: opened; committed here, or discarded when anything fails.
        window: shown from this thread.
        max_frames: an upper bound.
        clock_from: added to the source's times before the session sees them, when a recording goes on from another.
        stopped: asked before every frame.
        on_frame: told after every frame.

    Returns:
        what was done.

    Raises:
        SalError: of the source, the session or a sink; nothing is left half-written.
    """
    summary = Summary()
    began = time.perf_counter()
    publisher = Publisher(sinks)
    connection = 0
    try:
        with Feed(source) as feed:
            for frame in feed.frames(stopped):
                if frame.connection != connection:
                    connection = frame.connection
                    session.reset(reason="reconnect")
                saliency = session.step(frame.image, frame.timestamp + clock_from)
                assert session.last is not None
                result = Result(frame, saliency, session.last, summary.frames, feed.dropped)
                publisher.put(result)
                _count(summary, result)
                on_frame(summary)
                if window is not None:
                    window.write(result)
                if summary.frames == max_frames or (window is not None and window.closed):
                    break
        if summary.frames:
            publisher.commit()
    finally:
        publisher.discard()
        if window is not None:
            window.close()
    summary.stopped = stopped()
    summary.seconds = time.perf_counter() - began
    summary.outputs = [sink.path for sink in sinks if sink.path is not None and summary.frames]
    return summary


def _count(summary: Summary, result: Result) -> None:
    summary.frames += 1
    summary.dropped = result.dropped
    if result.step.restarts[0]:
        summary.restarts[result.step.restarts[0]] += 1
    for name, seconds in stages(result).items():
        summary.stages.setdefault(name, deque(maxlen=_KEPT)).append(seconds)
