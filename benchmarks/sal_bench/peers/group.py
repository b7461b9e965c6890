"""The parent's side of the workers: start them, ask one at a time, and outlive any that dies or hangs."""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import signal
from pathlib import Path
from typing import Any

from sal_bench.peers.contestants import Contestant
from sal_bench.peers.worker import serve


class Lost(Exception):  # noqa: N818 - reads as what it is
    """A worker that failed, died or hung; the text says which. It never reaches a user as an error."""


class Worker:
    """A contestant's process."""

    def __init__(self, contestant: Contestant, material: Path, frames: Path, threads: int | None, limit: float) -> None:
        """Start the process; ``limit`` is how many seconds any answer may take."""
        self.contestant = contestant
        self._limit = limit
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=serve, args=(theirs, contestant, material, frames, threads), name=contestant.name, daemon=True
        )
        self._process.start()
        theirs.close()

    @property
    def pid(self) -> int | None:
        """The process's id."""
        return self._process.pid

    def opened(self) -> str:
        """Wait until it is open; what computes in it.

        Raises:
            Lost: it could not be opened.
        """
        return str(self._answer("opening"))

    def ask(self, command: str, *arguments: Any) -> Any:
        """Tell it to do something and wait for the result.

        Raises:
            Lost: it failed, died, or did not answer in time; its process has ended.
        """
        try:
            self._pipe.send((command, *arguments))
        except OSError:
            raise Lost(self._cause()) from None
        return self._answer(f"the command {command!r}")

    def close(self) -> None:
        """End the process, by force if it does not hear."""
        with contextlib.suppress(OSError):
            self._pipe.send(("end",))
        self._process.join(timeout=3.0)
        self._end()

    def _answer(self, what: str) -> Any:
        ready = multiprocessing.connection.wait([self._pipe, self._process.sentinel], self._limit)
        if not ready:
            self._end()
            raise Lost(f"{what} took more than {self._limit:g} s, so its process was ended")
        try:
            state, value = self._pipe.recv()
        except (EOFError, OSError):
            raise Lost(self._cause()) from None
        if state == "failed":
            self.close()
            raise Lost(str(value))
        return value

    def _cause(self) -> str:
        """How the process ended."""
        self._process.join(timeout=3.0)
        code = self._process.exitcode
        self._end()
        if code is not None and code < 0:
            return f"its process was ended by signal {signal.Signals(-code).name}"
        return f"its process ended with exit code {code}"

    def _end(self) -> None:
        if self._process.is_alive():
            self._process.kill()
            self._process.join(timeout=5.0)
        self._pipe.close()
