"""NVIDIA's management library: energy, clocks, temperature, throttling and the names of the graphics processors.

It comes with the driver; the Python package (``nvidia-ml-py``) is taken where it is installed. Without one of them
there is nothing to tell. Jetson has no such library: see :mod:`sal_bench.tegra`.
"""

from __future__ import annotations

import importlib
from typing import Any

from sal_bench.probes import Reading


class Nvml:
    """All GPUs that the driver shows."""

    def __init__(self) -> None:
        self._nvml: Any = None
        self._devices: list[tuple[str, Any]] = []
        try:
            nvml = importlib.import_module("pynvml")
            nvml.nvmlInit()
        except Exception:  # no package, no driver, no permission: each its own kind
            return
        self._nvml = nvml
        for index in range(nvml.nvmlDeviceGetCount()):
            self._devices.append((f"gpu{index}", nvml.nvmlDeviceGetHandleByIndex(index)))

    def read(self, reading: Reading) -> None:
        """Counters and present values of every GPU; what one of them does not tell is left out."""
        nvml = self._nvml
        for name, device in self._devices:
            _take(reading.joules, name, lambda d=device: nvml.nvmlDeviceGetTotalEnergyConsumption(d) / 1e3)
            _take(reading.mhz, name, lambda d=device: nvml.nvmlDeviceGetClockInfo(d, nvml.NVML_CLOCK_SM))
            _take(reading.celsius, name, lambda d=device: nvml.nvmlDeviceGetTemperature(d, nvml.NVML_TEMPERATURE_GPU))
            for reason in ("POWER", "THERMAL"):
                kind = getattr(nvml, f"NVML_PERF_POLICY_{reason}", None)
                label = f"{name}, ns by {reason.lower()}"
                _take(
                    reading.throttled,
                    label,
                    lambda d=device, k=kind: nvml.nvmlDeviceGetViolationStatus(d, k).violationTime,
                )

    def describe(self) -> list[str]:
        """Name and driver of each GPU, such as ``NVIDIA H100, driver 580.65``."""
        told = []
        for _, device in self._devices:
            parts: dict[str, Any] = {}
            _take(parts, "name", lambda d=device: _text(self._nvml.nvmlDeviceGetName(d)))
            _take(parts, "driver", lambda: f"driver {_text(self._nvml.nvmlSystemGetDriverVersion())}")
            told.append(", ".join(parts.values()))
        return told

    def close(self) -> None:
        """Shut the library down."""
        if self._nvml is not None:
            self._nvml.nvmlShutdown()
            self._nvml, self._devices = None, []


def _take(into: dict[str, Any], name: str, ask: Any) -> None:
    """Keep an answer; a question that this GPU does not know is dropped."""
    try:
        into[name] = ask()
    except Exception:  # NVMLError in many kinds; a missing attribute of an old package
        return


def _text(value: str | bytes) -> str:
    """Older packages answer in bytes."""
    return value.decode() if isinstance(value, bytes) else value
