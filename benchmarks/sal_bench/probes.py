"""What the machine tells while it is measured: energy, clocks, temperature, throttling.

Sensors are read between turns, never during one, except by tegrastats, which is a process of its own. A sensor that is
absent, or that the user may not read, gives nothing and is no error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ROOT = Path("/")


@dataclass
class Reading:
    """One look at a sensor, by the sensor's name."""

    joules: dict[str, float] = field(default_factory=dict)
    """Energy counted so far; only differences mean something."""
    wraps: dict[str, float] = field(default_factory=dict)
    """Joules at which a counter starts over."""
    mhz: dict[str, float] = field(default_factory=dict)
    """Clock as of now."""
    celsius: dict[str, float] = field(default_factory=dict)
    """Temperature as of now."""
    throttled: dict[str, float] = field(default_factory=dict)
    """Events or microseconds counted so far."""


class Probe(Protocol):
    """A kind of sensor."""

    def read(self, reading: Reading) -> None:
        """Add what it knows now; nothing where the machine does not tell."""

    def close(self) -> None:
        """Let go of it."""


class PowerCap:
    """RAPL: energy of processor packages and memory, from ``/sys/class/powercap`` (often readable by root only)."""

    def __init__(self, root: Path = ROOT) -> None:
        self._zones = sorted((root / "sys/class/powercap").glob("*rapl:*"))

    def read(self, reading: Reading) -> None:
        """Counters in joules."""
        for zone in self._zones:
            name, micro = _text(zone / "name"), _number(zone / "energy_uj")
            if name is not None and micro is not None:
                label = f"{name} ({zone.name.partition(':')[2]})"
                reading.joules[label] = micro / 1e6
                reading.wraps[label] = (_number(zone / "max_energy_range_uj") or 0.0) / 1e6

    def close(self) -> None:
        """Nothing is held."""


class Processor:
    """Clock, temperature and throttling of the processor; and of the container, which can be throttled as well."""

    def __init__(self, root: Path = ROOT) -> None:
        self._root = root

    def read(self, reading: Reading) -> None:
        """From ``/sys`` and ``/proc``; the clock is the mean of all cores."""
        cores = self._root / "sys/devices/system/cpu"
        clocks = [c / 1e3 for c in map(_number, sorted(cores.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))) if c]
        if not clocks:
            lines = (_text(self._root / "proc/cpuinfo") or "").splitlines()
            clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
        if clocks:
            reading.mhz["cpu"] = sum(clocks) / len(clocks)
        for zone in sorted((self._root / "sys/class/thermal").glob("thermal_zone*")):
            milli = _number(zone / "temp")
            if milli is not None:
                reading.celsius[f"{_text(zone / 'type') or 'zone'} ({zone.name[12:]})"] = milli / 1e3
        heat = map(_number, cores.glob("cpu[0-9]*/thermal_throttle/core_throttle_count"))
        counts = [count for count in heat if count is not None]
        if counts:
            reading.throttled["cpu, by heat"] = sum(counts)
        for line in (_text(self._root / "sys/fs/cgroup/cpu.stat") or "").splitlines():
            key, _, value = line.partition(" ")
            if key == "nr_throttled":
                reading.throttled["container, by its quota"] = float(value)

    def close(self) -> None:
        """Nothing is held."""


def between(before: Reading, after: Reading) -> dict[str, dict[str, float]]:
    """What happened between two readings, as :class:`sal_bench.report.Round` keeps it; empty parts are left out."""
    joules = {}
    for name, end in after.joules.items():
        if name in before.joules:
            spent = end - before.joules[name]
            joules[name] = spent if spent >= 0 else spent + after.wraps.get(name, 0.0)
    throttled = {n: after.throttled[n] - before.throttled[n] for n in after.throttled if n in before.throttled}
    found = {"joules": joules, "mhz": after.mhz, "celsius": after.celsius, "throttled": throttled}
    return {kind: {n: round(v, 6) for n, v in values.items()} for kind, values in found.items() if values}


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    try:
        return float(_text(path) or "")
    except ValueError:
        return None
