"""Reports made by hand, with figures that can be worked out on paper."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sal_bench.report import Absent, Report, Round, Run, Warmup

MACHINE: dict[str, Any] = {"cpu": "Paper 1", "threads": 2, "flags": ["avx2"], "packages": {"numpy": "2.0"}}


def turn(began: float, *samples: float) -> Round:
    """A round whose compute stage is all of each sample but 0.25 ms."""
    stages = {"prepare": (0.25,) * len(samples), "compute": tuple(sample - 0.25 for sample in samples)}
    return Round(began, sum(samples) / 1e3, samples, stages, probes={"joules": {"package": 0.5 * len(samples)}})


def make_run(name: str, medians: Sequence[float], **changes: Any) -> Run:
    """A run of rounds of three samples about each median: one ms less, the median, two ms more."""
    rounds = tuple(turn(float(i), value - 1.0, value, value + 2.0) for i, value in enumerate(medians))
    model = {"name": "paper", "precision": "fp32", "height": 16, "width": 32, "random_weights": False}
    run = Run(name, "single", model, "paper 1 cpu", rounds, Warmup(24, 1.0, True, 0.01), parity={"min_cc": 0.999})
    return dataclasses.replace(run, **changes)


def make_report(*runs: Run, **changes: Any) -> Report:
    """A report on a machine made of paper."""
    load = {"start": [0.1, 0.1, 0.1], "end": [0.2, 0.1, 0.1], "cpus": 2}
    report = Report("a report", "2026-01-01T00:00:00+00:00", MACHINE, load, {"frames": 18, "rounds": 6}, runs)
    return dataclasses.replace(report, absent=(Absent("somebody", "it is <not> installed"),), **changes)
