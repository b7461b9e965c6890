"""Two reports side by side: for each run that both have, how many times as fast the second is.

The interval covers the noise within the two measurements. It knows nothing of what changed on the machine between
them: for that, measure both in one invocation, where they alternate.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sal_bench.content import ms, ratio_table
from sal_bench.ratios import Ratio, independent_ratio
from sal_bench.report import Report, Run
from sal_bench.tables import Table
from sal_runtime.errors import DataError

CAVEAT = (
    "times as fast: B's median against A's, with a bootstrap interval over the rounds of each; it covers the noise "
    "within the two measurements, not what changed on the machine between them."
)
"""Printed below every comparison."""

_FLEETING = {"packages", "environment"}
"""Parts of a fingerprint that are compared entry by entry."""


@dataclass(frozen=True)
class Comparison:
    """What two reports have in common."""

    pairs: tuple[tuple[Run, Run], ...]
    """The same contestant in each."""
    ratios: tuple[Ratio, ...]
    """How many times as fast the second is."""
    machines: tuple[str, ...]
    """In what the two machines differ, a sentence each."""
    left_over: tuple[str, ...]
    """Runs that only one of them has."""

    def tables(self) -> list[Table]:
        """For people."""
        rows = tuple(
            (a.name, ms(a.latency.p50), ms(b.latency.p50), ms(a.latency.p90), ms(b.latency.p90)) for a, b in self.pairs
        )
        found = [Table("Latency, ms", ("run", "A p50", "B p50", "A p90", "B p90"), rows)]
        found.append(ratio_table("B against A", self.ratios, same=True))
        if self.machines:
            split = tuple((line.partition(": ")[0], line.partition(": ")[2]) for line in self.machines)
            found.append(Table("The machines differ", ("what", "A -> B"), split, words=True))
        return found


def read_report(path: Path) -> Report:
    """A report from its file, or from the folder that ``--out`` made.

    Raises:
        DataError: no such file, no report, or one of another version.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise DataError(f"{file}: cannot be read as a report ({getattr(exc, 'strerror', None) or 'not text'})") from exc
    return Report.from_json(text, str(file))


def compare(a: Report, b: Report) -> Comparison:
    """Match runs by name; where no name is in both and each has one run, these two.

    Raises:
        DataError: nothing matches.
    """
    theirs = {run.name: run for run in b.runs}
    pairs = [(run, theirs[run.name]) for run in a.runs if run.name in theirs]
    if not pairs and len(a.runs) == len(b.runs) == 1 and a.runs[0].scenario == b.runs[0].scenario:
        pairs = [(a.runs[0], b.runs[0])]
    if not pairs:
        names = [", ".join(run.name for run in report.runs) or "none" for report in (a, b)]
        raise DataError(f"the reports have no run in common: the first has {names[0]}; the second {names[1]}")
    for first, second in pairs:
        if first.settings.get("rate") != second.settings.get("rate") or first.frames_a_sample != second.frames_a_sample:
            raise DataError(f"{first.name}: the two reports measured it at different rates or numbers of streams")
    ratios = tuple(independent_ratio(second.name, second.medians, first.name, first.medians) for first, second in pairs)
    shared = {run.name for pair in pairs for run in pair}
    left_over = tuple(dict.fromkeys(run.name for run in (*a.runs, *b.runs) if run.name not in shared))
    return Comparison(tuple(pairs), ratios, tuple(differences(a.machine, b.machine)), left_over)


def differences(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """``what: A -> B`` for every part of two fingerprints that is not the same."""
    found = []
    for name in dict.fromkeys((*a, *b)):
        ours, theirs = a.get(name), b.get(name)
        if name in _FLEETING:
            ours, theirs = ours or {}, theirs or {}
            keys = [key for key in dict.fromkeys((*ours, *theirs)) if ours.get(key) != theirs.get(key)]
            found += [f"{key}: {ours.get(key, 'absent')} -> {theirs.get(key, 'absent')}" for key in keys]
        elif ours != theirs:
            found.append(f"{name}: {_told(ours)} -> {_told(theirs)}")
    return found


def _told(value: Any) -> str:
    if value is None:
        return "not told"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
