"""What a benchmark found, as one value: it is printed, drawn, kept as JSON, read back and compared.

Raw samples stay in it. Whatever a table says can be worked out again from the JSON.
"""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sal_bench.ratios import Ratio, paired_ratio
from sal_bench.samples import Latency
from sal_runtime.errors import DataError

VERSION = 1
"""The version of the JSON that this code writes and the only one it reads."""


@dataclass(frozen=True)
class Warmup:
    """What was run before anything was timed."""

    frames: int
    """Steps."""
    seconds: float
    """How long."""
    stable: bool
    """Whether the medians of the last windows agreed; otherwise the bound on time ended it."""
    spread: float
    """Largest over smallest of those medians, less 1."""


@dataclass(frozen=True)
class Round:
    """One turn of one contestant."""

    began: float
    """Seconds after the report's start."""
    seconds: float
    """How long the turn took, waiting for frames included."""
    samples: tuple[float, ...]
    """Raw latencies in milliseconds, in order."""
    stages: dict[str, tuple[float, ...]] = field(default_factory=dict)
    """Milliseconds of each sample by stage: ``wait``, ``decode``, ``prepare``, ``compute``, ``publish``."""
    dropped: int = 0
    """Frames of a stream that were overtaken by newer ones."""
    late: int = 0
    """Frames of a stream that came after their deadline."""
    probes: dict[str, dict[str, float]] = field(default_factory=dict)
    """What the machine told: ``joules`` spent, ``mhz`` and ``celsius`` at the end, ``throttled`` counts, by sensor."""

    @property
    def median(self) -> float:
        """Median latency in milliseconds."""
        return statistics.median(self.samples)


@dataclass(frozen=True)
class Run:
    """One contestant in one scenario."""

    name: str
    """Unlike every other in the report; the same contestant bears the same name in another report."""
    scenario: str
    """``single``, ``stream``, ``batch``, ``peer``, ``alone`` or ``end-to-end``."""
    model: dict[str, Any]
    """Name, precision, size, hash, weights."""
    engine: str
    """What computed, with version and device."""
    rounds: tuple[Round, ...]
    """In the order of time."""
    warmup: Warmup
    """Before the first round."""
    frames_a_sample: int = 1
    """Frames that one sample stands for: the streams of a batch."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Rate, deadline, streams, family: what the scenario was told."""
    parity: dict[str, Any] | None = None
    """The artifact's own record of the check at export, without the values of every frame."""
    accuracy: dict[str, Any] | None = None
    """``min_cc``, ``mean_cc``, ``worst_frame``, ``frames``, ``source``, ``against``: maps measured in this report."""

    @property
    def samples(self) -> list[float]:
        """All latencies in milliseconds."""
        return [sample for turn in self.rounds for sample in turn.samples]

    @property
    def latency(self) -> Latency:
        """Their summary."""
        return Latency.of(self.samples)

    @property
    def medians(self) -> list[float]:
        """The median of each round in milliseconds."""
        return [turn.median for turn in self.rounds]

    @property
    def fps(self) -> float:
        """Frames a second over all turns."""
        seconds = sum(turn.seconds for turn in self.rounds)
        return len(self.samples) * self.frames_a_sample / seconds if seconds > 0 else 0.0

    @property
    def stages(self) -> dict[str, float]:
        """Median milliseconds of each stage."""
        names = dict.fromkeys(name for turn in self.rounds for name in turn.stages)
        return {name: statistics.median(v for turn in self.rounds for v in turn.stages.get(name, ())) for name in names}

    @property
    def joules_a_frame(self) -> dict[str, float]:
        """Energy a frame by sensor, the machine's own consumption included."""
        frames = len(self.samples) * self.frames_a_sample
        names = dict.fromkeys(name for turn in self.rounds for name in turn.probes.get("joules", {}))
        return {n: sum(turn.probes.get("joules", {}).get(n, 0.0) for turn in self.rounds) / frames for n in names}

    @property
    def min_cc(self) -> float | None:
        """The least correlation with the fp32 network: measured here, else from the artifact's record."""
        for record in (self.accuracy, self.parity):
            if record and "min_cc" in record:
                return float(record["min_cc"])
        return None


@dataclass(frozen=True)
class Absent:
    """A contestant that could not run."""

    name: str
    reason: str
    """One sentence."""


@dataclass(frozen=True)
class Report:
    """Everything that one invocation found."""

    title: str
    """What was measured, for people."""
    created: str
    """Date and time in UTC, ISO 8601."""
    machine: dict[str, Any]
    """From :func:`sal_bench.machine.fingerprint`."""
    load: dict[str, Any]
    """Load averages at start and end, and what share of the processors others took meanwhile."""
    options: dict[str, Any]
    """How it was measured."""
    runs: tuple[Run, ...]
    """One a contestant and scenario."""
    absent: tuple[Absent, ...] = ()
    """Contestants that could not run, and why."""
    warnings: tuple[str, ...] = ()
    """What a reader must know before believing the numbers."""
    version: int = VERSION
    """Version of this record."""

    def run(self, name: str) -> Run:
        """The run of that name."""
        return next(run for run in self.runs if run.name == name)

    @property
    def ratios(self) -> list[Ratio]:
        """Every run's speed against the first run of its group (``settings["group"]``, else its scenario)."""
        firsts: dict[str, Run] = {}
        found = []
        for run in self.runs:
            first = firsts.setdefault(str(run.settings.get("group", run.scenario)), run)
            if first is not run:
                found.append(ratio_of(run, first))
        return found

    def to_json(self) -> str:
        """The report as one JSON document."""
        return json.dumps({"sal_bench": self.version, **_plain(self)}, indent=1, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str = "the report") -> Report:
        """Read back what :meth:`to_json` wrote; ``where`` names the file in messages.

        Raises:
            DataError: the text is no such document, or of another version.
        """
        try:
            raw = json.loads(text)
            found = raw.pop("sal_bench")
        except (ValueError, KeyError, AttributeError, TypeError) as exc:
            raise DataError(f"{where}: not a report of sal-bench; name the report.json of a folder it wrote") from exc
        if found != VERSION:
            raise DataError(
                f"{where}: report version {found!r} is not {VERSION}, the one this sal-bench reads; measure again"
            )
        try:
            runs = tuple(_run(entry) for entry in raw.pop("runs"))
            absent = tuple(Absent(**entry) for entry in raw.pop("absent"))
            return cls(runs=runs, absent=absent, warnings=tuple(raw.pop("warnings")), version=found, **raw)
        except (KeyError, TypeError, AttributeError, ValueError) as exc:
            raise DataError(f"{where}: the report lacks or mistakes a field ({exc}); measure again") from exc


def ratio_of(run: Run, against: Run) -> Ratio:
    """How many times as fast ``run`` is as ``against``, both of one report; by the rounds that both have."""
    pairs = list(zip(run.medians, against.medians, strict=False))
    return paired_ratio(run.name, [own for own, _ in pairs], against.name, [other for _, other in pairs])


def _plain(report: Report) -> dict[str, Any]:
    raw = dataclasses.asdict(report)
    del raw["version"]
    return raw


def _run(raw: dict[str, Any]) -> Run:
    rounds = tuple(
        Round(
            **{
                **turn,
                "samples": _floats(turn["samples"]),
                "stages": {name: _floats(values) for name, values in turn["stages"].items()},
            }
        )
        for turn in raw["rounds"]
    )
    if not rounds or not all(turn.samples for turn in rounds):
        raise ValueError(f"run {raw['name']!r} holds no samples")
    return Run(**{**raw, "rounds": rounds, "warmup": Warmup(**raw["warmup"])})


def _floats(values: Sequence[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
