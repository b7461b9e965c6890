"""The machine's fingerprint, and how busy it was with other things.

What cannot be told is left out; nothing here is an error.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from sal_bench.gpu import Nvml

FLAGS = (
    "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "avx_vnni", "amx_bf16", "amx_int8",
    "asimd", "asimddp", "asimdhp", "bf16", "i8mm", "sve", "sve2",
)  # fmt: skip
"""Instruction sets that decide how fast a convolution is."""

PACKAGES = (
    "sal-edge", "numpy", "onnxruntime", "onnxruntime-gpu", "openvino", "torch", "opencv-python",
    "opencv-python-headless", "tensorrt", "tensorrt-rtx",
)  # fmt: skip

BUSY = 0.10
"""Share of the processors taken by others, or load per processor at the start, from which a report warns."""

_JETSON_GPU = re.compile(r"\.(gpu|ga10b|gv11b)$|^gpu-gpc")
"""Names among ``/sys/class/devfreq``: Orin's (``17000000.gpu``), Xavier's, Thor's."""

_VARIABLES = ("OMP_NUM_THREADS", "KMP_BLOCKTIME", "KMP_AFFINITY", "GOMP_CPU_AFFINITY", "MKL_NUM_THREADS")


def fingerprint(root: Path = Path("/")) -> dict[str, Any]:
    """What decides speed, as far as the machine tells; ``root`` is where ``/proc`` and ``/sys`` are."""
    info = _text(root / "proc/cpuinfo")
    fields = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in info.splitlines()) if value
    }
    flags = set((fields.get("flags") or fields.get("Features") or "").split())
    memory = [line.split()[1] for line in _text(root / "proc/meminfo").splitlines() if line.startswith("MemTotal")]
    gpus = Nvml()
    try:
        graphics = gpus.describe()
    finally:
        gpus.close()
    found: dict[str, Any] = {
        "cpu": fields.get("model name") or platform.processor() or platform.machine(),
        "architecture": platform.machine(),
        "threads": usable_cpus(),
        "cores": _physical_cores(),
        "flags": [flag for flag in FLAGS if flag in flags],
        "virtual": True if "hypervisor" in flags else None,
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "clocks": _clocks(root),
        "memory_gb": round(int(memory[0]) / 1024**2, 1) if memory else None,
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "packages": _packages(),
        "gpu": graphics,
        "jetson": _text(root / "proc/device-tree/model").strip("\x00"),
        "power_mode": _power_mode(),
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def usable_cpus() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Busy:
    """How much of the machine others took between two moments."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._stat = root / "proc/stat"
        self._start_load = _load()
        self._start = self._ticks()
        self._own = _own_seconds()

    def stop(self, workers: float = 0.0) -> dict[str, Any]:
        """The record for the report.

        Args:
            workers: processor seconds of our own worker processes meanwhile, beside those of this process.
        """
        found: dict[str, Any] = {"start": self._start_load, "end": _load(), "cpus": usable_cpus()}
        ticks = self._ticks()
        if self._start is not None and ticks is not None:
            hertz = os.sysconf("SC_CLK_TCK")
            busy, stolen, total = ((b - a) / hertz for a, b in zip(self._start, ticks, strict=True))
            if total > 0:
                own = _own_seconds() - self._own + workers
                found["others"] = round(min(1.0, max(0.0, (busy - own) / total)), 4)
                found["stolen"] = round(max(0.0, stolen / total), 4)
        return {name: value for name, value in found.items() if value is not None}

    def _ticks(self) -> tuple[int, int, int] | None:
        """Ticks spent busy, taken by the hypervisor, and in all."""
        first = _text(self._stat).partition("\n")[0].split()
        if len(first) < 9 or first[0] != "cpu":
            return None
        user, nice, system, idle, wait, irq, soft, steal = map(int, first[1:9])
        busy = user + nice + system + irq + soft
        return busy, steal, busy + idle + wait + steal


def load_warnings(load: dict[str, Any]) -> list[str]:
    """Sentences for a machine that had other things to do."""
    found = []
    if load.get("others", 0.0) > BUSY:
        found.append(f"the machine was busy: other processes took {load['others']:.0%} of the processors' time")
    elif load.get("start") and load["start"][0] / load["cpus"] > BUSY and "others" not in load:
        found.append(f"the machine was busy: load {load['start'][0]:.1f} on {load['cpus']} processors at the start")
    if load.get("stolen", 0.0) > BUSY:
        found.append(f"the hypervisor took {load['stolen']:.0%} of the processors' time for others")
    return found


def _load() -> list[float] | None:
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None


def _own_seconds() -> float:
    """Processor time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _physical_cores() -> int | None:
    try:
        count: int | None = importlib.import_module("psutil").cpu_count(logical=False)
    except ImportError:
        return None
    return count


def _packages() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _power_mode() -> str | None:
    """Jetson's power mode, in the words of ``nvpmodel -q``."""
    command = shutil.which("nvpmodel")
    if command is None:
        return None
    try:
        done = subprocess.run([command, "-q"], capture_output=True, text=True, timeout=5.0)
    except (OSError, subprocess.TimeoutExpired):
        return None
    modes = [line.partition(":")[2].strip() for line in done.stdout.splitlines() if "Power Mode" in line]
    return modes[0] if modes else None


def _clocks(root: Path) -> list[str]:
    """Which processors' clocks are fixed, as ``jetson_clocks`` fixes them: the least allowed is the most allowed."""
    policies = sorted((root / "sys/devices/system/cpu/cpufreq").glob("policy*"))
    engines = [place for place in sorted((root / "sys/class/devfreq").glob("*")) if _JETSON_GPU.search(place.name)]
    found = []
    for name, places, file in (("cpu", policies, "scaling_{}_freq"), ("gpu", engines, "{}_freq")):
        ranges = [(_text(place / file.format("min")), _text(place / file.format("max"))) for place in places]
        told = [least == most for least, most in ranges if least and most]
        if told:
            found.append(f"{name} {'fixed' if all(told) else 'free'}")
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
