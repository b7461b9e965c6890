"""Ctrl-C and SIGTERM as a wish, not an accident: the frame under way is finished and files are closed properly."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class StopRequest:
    """Within the block the first signal sets :attr:`requested`; a second one interrupts at once, unless told not to."""

    _SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self, insist: bool = True) -> None:
        """``insist=False``: no signal raises, where a library would swallow the exception."""
        self.requested = False
        self.number: int | None = None
        """The signal that came."""
        self._insisted = not insist
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # Python allows handlers nowhere else
            self._before = {number: signal.signal(number, self._note) for number in self._SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested and not self._insisted:
            self._insisted = True  # once: a third signal must not disturb the cleaning up after the second
            raise KeyboardInterrupt
        self.requested, self.number = True, number
