"""Jetson's own meter: ``tegrastats`` prints a line every so often; power, temperatures and clocks stand in it.

Its power figures are momentary, so energy is their sum over time: good for turns of seconds, not for single frames.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import time

from sal_bench.probes import Reading

INTERVAL_MS = 100
"""Between two lines."""

_POWER = re.compile(r"\b(VDD_IN|POM_5V_IN|VIN_SYS_5V0|VDD_[A-Z0-9_]+) (\d+)(?:mW)?/(\d+)(?:mW)?")
_CELSIUS = re.compile(r"\b([A-Za-z0-9_]+)@(-?\d+(?:\.\d+)?)C")
_CLOCK = re.compile(r"\b(GR3D_FREQ|EMC_FREQ) \d+%@\[?(\d+)")


class TegraStats:
    """A ``tegrastats`` process and the thread that reads it; nothing where the command does not exist."""

    def __init__(self, command: str = "tegrastats") -> None:
        self._lock = threading.Lock()
        self._joules: dict[str, float] = {}
        self._now = Reading()
        self._seen: float | None = None
        self._process: subprocess.Popen[str] | None = None
        if shutil.which(command) is None:
            return
        self._process = subprocess.Popen(
            [command, "--interval", str(INTERVAL_MS)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._follow, name="tegrastats", daemon=True).start()

    def read(self, reading: Reading) -> None:
        """Energy since the start, and the last line's temperatures and clocks."""
        with self._lock:
            reading.joules.update(self._joules)
            reading.mhz.update(self._now.mhz)
            reading.celsius.update(self._now.celsius)

    def take(self, line: str, now: float) -> None:
        """Account for one line that came at ``now`` (seconds, monotonic)."""
        parsed = parse(line)
        with self._lock:
            elapsed = 0.0 if self._seen is None else now - self._seen
            for name, watts in parsed.joules.items():
                self._joules[name] = self._joules.get(name, 0.0) + watts * elapsed
            self._seen, self._now = now, parsed

    def close(self) -> None:
        """End the process that was started here."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=5.0)
            self._process = None

    def _follow(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        for line in process.stdout:
            self.take(line, time.monotonic())


def parse(line: str) -> Reading:
    """One line; ``joules`` holds watts, since a line is a moment."""
    return Reading(
        joules={name: int(now) / 1e3 for name, now, _ in _POWER.findall(line)},
        mhz={name.removesuffix("_FREQ").lower(): float(mhz) for name, mhz in _CLOCK.findall(line)},
        celsius={name: float(value) for name, value in _CELSIUS.findall(line)},
    )
