"""The thread between the session and the sinks: encoding runs beside the model.

A sink's error reaches the session's thread with the next result. Files appear only through :meth:`Publisher.commit`.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Sequence

from sal_runtime.sinks import Result, Sink

WAITING = 4
"""Results that may wait for the sinks; then the model waits, so that nothing is lost and memory stays bounded."""


def discard_all(sinks: Sequence[Sink]) -> None:
    """Discard every sink, also those after one that fails at it."""
    for sink in sinks:
        with contextlib.suppress(Exception):
            sink.discard()


class Publisher:
    """Hands every result to every sink, in order."""

    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = list(sinks)
        self._waiting: queue.Queue[Result | None] = queue.Queue(WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="publisher", daemon=True)
        self._thread.start()

    def put(self, result: Result) -> None:
        """Hand over a result.

        Raises:
            OutputError: a sink failed on an earlier one.
        """
        while self._error is None:
            try:
                self._waiting.put(result, timeout=0.1)
                return
            except queue.Full:
                continue
        raise self._error

    def commit(self) -> None:
        """Wait for what is under way, finish every file, then let all of them appear.

        Raises:
            OutputError: a file could not be written whole; then none appears.
        """
        self._finish()
        if self._error is not None:
            raise self._error
        for sink in self._sinks:
            sink.finish()
        for sink in self._sinks:
            sink.publish()

    def discard(self) -> None:
        """Leave no file behind but those that appeared."""
        self._error = self._error or RuntimeError("discarded")
        self._finish()
        discard_all(self._sinks)

    def _finish(self) -> None:
        if self._thread.is_alive():
            self._waiting.put(None)
            self._thread.join()

    def _write(self) -> None:
        while True:
            result = self._waiting.get()
            if result is None:
                return
            if self._error is not None:
                continue  # keep emptying the queue, so that nobody waits for room in it
            try:
                for sink in self._sinks:
                    sink.write(result)
            except BaseException as exc:  # whatever it is, the session's thread must hear of it
                self._error = exc
