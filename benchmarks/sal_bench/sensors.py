"""All the sensors that a machine may have, opened together."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from sal_bench.gpu import Nvml
from sal_bench.probes import PowerCap, Probe, Processor, Reading
from sal_bench.tegra import TegraStats


class Sensors:
    """All probes together."""

    def __init__(self, probes: list[Probe]) -> None:
        self._probes = probes

    def read(self) -> Reading:
        """What all of them tell now."""
        reading = Reading()
        for probe in self._probes:
            with contextlib.suppress(Exception):  # a sensor that breaks must not end a measurement
                probe.read(reading)
        return reading

    def close(self) -> None:
        """Let go of them."""
        for probe in self._probes:
            with contextlib.suppress(Exception):
                probe.close()


@contextlib.contextmanager
def open_sensors() -> Iterator[Sensors]:
    """Every probe that this machine may have, closed at the end of the block."""
    sensors = Sensors([PowerCap(), Processor(), Nvml(), TegraStats()])
    try:
        yield sensors
    finally:
        sensors.close()
