"""The thread between a source and the session: decoding runs beside the model.

A recording is read ahead by a few frames and none is lost. A live source is drained as fast as it gives; the session
gets the newest frame, and those it never saw are counted.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

from sal_runtime.sources import Frame, Source

READ_AHEAD = 4
"""Decoded frames that may wait."""


class _End:
    """What the reader puts last: nothing more comes, or an error does."""

    def __init__(self, error: BaseException | None) -> None:
        self.error = error


class Feed:
    """Frames of a source, read in a thread of their own; a context manager."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._waiting: queue.Queue[tuple[Frame, int] | _End] = queue.Queue(1 if source.live else READ_AHEAD)
        self._stop = threading.Event()
        self._lost = 0
        self.dropped = 0
        """Frames of a live source that were overtaken before the one last given out."""
        self._thread = threading.Thread(target=self._read, name=f"feed {source.name}", daemon=True)
        self._thread.start()

    def frames(self, stopped: Callable[[], bool] = lambda: False) -> Iterator[Frame]:
        """Frames in order, until the source ends or ``stopped()``.

        Raises:
            SalError: the source's error, after the frames that came before it.
        """
        while not stopped():
            try:
                item = self._waiting.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            frame, self.dropped = item
            yield frame

    def close(self) -> None:
        """Stop reading and release the source."""
        self._stop.set()
        if self._source.live:
            self._source.close()  # ends a wait for a frame or a reconnection
        self._thread.join(timeout=15.0)
        self._source.close()

    def __enter__(self) -> Feed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self) -> None:
        error: BaseException | None = None
        try:
            for frame in self._source:
                self._hand_over(frame)
                if self._stop.is_set():
                    return
        except BaseException as exc:  # whatever it is, the reader of this queue must hear of it
            error = exc
        finally:
            self._hand_over(_End(error))

    def _hand_over(self, item: Frame | _End) -> None:
        """Put an item in the queue: a live source replaces the frame that nobody fetched, a file waits."""
        overtake = self._source.live and isinstance(item, Frame)
        while not self._stop.is_set():
            try:
                self._waiting.put(
                    (item, self._lost) if isinstance(item, Frame) else item, timeout=0.0 if overtake else 0.1
                )
                return
            except queue.Full:
                if overtake:
                    with contextlib.suppress(queue.Empty):
                        self._waiting.get_nowait()
                        self._lost += 1
