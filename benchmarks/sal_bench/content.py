"""What a report says, as tables and sentences; the terminal, the Markdown and the page print these and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sal_bench.ratios import CONFIDENCE, LEAST_ROUNDS, Ratio
from sal_bench.report import Report, Run
from sal_bench.samples import LEAST_P90, LEAST_P99
from sal_bench.tables import Table
from sal_runtime.backends import open_backend

UNCLAIMED = "*"
"""Marks a percentile that rests on too few samples."""


def tables(report: Report) -> list[Table]:
    """All tables, in reading order; those with nothing to say are left out."""
    found = [latency_table(report), *ratio_tables(report), _stages(report), _streams(report)]
    found += [_checks(report), _accuracy(report), _sensors(report), _absent(report), _machine(report)]
    return [table for table in found if table is not None]


def notes(report: Report) -> list[str]:
    """Sentences that belong below the tables."""
    found = []
    if any(not run.latency.claims_p99 for run in report.runs):
        found.append(
            f"{UNCLAIMED} not claimed: p99 wants {LEAST_P99} samples and p90 and p95 want {LEAST_P90}; ask for more "
            "--frames"
        )
    if report.ratios:
        found.append(
            f"times as fast: the median of the rounds' ratios, with its {CONFIDENCE:.0%} bootstrap interval over "
            f"rounds; undecided where that holds 1, or with fewer than {LEAST_ROUNDS} rounds"
        )
    if any(run.joules_a_frame for run in report.runs):
        found.append("energy is the whole device's as its own sensor counts it, what it uses when idle included")
    return found


def latency_table(report: Report) -> Table:
    """The main one."""
    rows = []
    for run in report.runs:
        s = run.latency
        p90, p99 = "" if s.claims_p90 else UNCLAIMED, "" if s.claims_p99 else UNCLAIMED
        tail = (f"{ms(s.p90)}{p90}", f"{ms(s.p95)}{p90}", f"{ms(s.p99)}{p99}", ms(s.max))
        rows.append((run.name, ms(s.p50), *tail, ms(s.mean), str(s.n), f"{run.fps:.1f}"))
    return Table("Latency, ms", ("run", "p50", "p90", "p95", "p99", "max", "mean", "n", "fps"), tuple(rows))


def ratio_tables(report: Report) -> list[Table]:
    """Speeds against the first of each group; for peers against the best plain engine as well."""
    found = []
    if report.ratios:
        found.append(ratio_table("Times as fast as the first of its kind", report.ratios))
    for extra in report.options.get("comparisons", ()):
        ratios = [Ratio(**entry) for entry in extra["ratios"]]
        if ratios:
            found.append(ratio_table(str(extra["title"]), ratios))
    return found


def ratio_table(title: str, ratios: Sequence[Ratio], same: bool = False) -> Table:
    """One line a ratio; what all are held against stands in the title. ``same``: each is held against its own self."""
    rows = []
    others = {r.against for r in ratios}
    alone = same or len(others) == 1
    for r in ratios:
        name = (r.name,) if alone else (r.name, r.against)
        rows.append((*name, f"{r.ratio:.3f}", f"{r.low:.3f} to {r.high:.3f}", str(r.rounds), r.verdict))
    head = ("run",) if alone else ("run", "against")
    title = f"{title}: {ratios[0].against}" if alone and not same else title
    return Table(title, (*head, "times as fast", "interval", "rounds", "it is"), tuple(rows))


def ms(value: float) -> str:
    """Milliseconds with three or four digits that count."""
    return f"{value:.0f}" if value >= 1000 else f"{value:.1f}" if value >= 100 else f"{value:.2f}"


def _stages(report: Report) -> Table | None:
    names = list(dict.fromkeys(name for run in report.runs for name in run.stages))
    if not names:
        return None
    rows = [(run.name, *(ms(run.stages[n]) if n in run.stages else "" for n in names)) for run in report.runs]
    return Table("Stages, median ms", ("run", *names), tuple(rows))


def _streams(report: Report) -> Table | None:
    rows = []
    for run in report.runs:
        if run.scenario == "stream":
            late, dropped = sum(turn.late for turn in run.rounds), sum(turn.dropped for turn in run.rounds)
            n = len(run.samples)
            rate = (f"{run.settings['rate']:g}/s", f"{run.settings['deadline_ms']:g} ms")
            rows.append((run.name, *rate, f"{late} ({late / n:.1%})", f"{dropped} ({dropped / (n + dropped):.1%})"))
    header = ("run", "arrivals", "deadline", "late, of those done", "dropped, of all")
    return Table("Arriving frames", header, tuple(rows)) if rows else None


def _accuracy(report: Report) -> Table | None:
    rows = []
    for run in report.runs:
        weights = "RANDOM weights" if run.model.get("random_weights") else "trained"
        exported = f"at export, on {(run.parity or {}).get('backend', 'what is not told')}"
        for record, how in ((run.accuracy, "measured now"), (run.parity, exported)):
            if record is not None and "min_cc" in record:
                mean = f"{record['mean_cc']:.5f}" if "mean_cc" in record else ""
                told = f"{record.get('frames', '?')} of {record.get('source', '?')}"
                error = f"{record['max_error']:.1e}" if "max_error" in record else ""
                rows.append((run.name, f"{record['min_cc']:.5f}", mean, error, told, how, weights))
                break
        else:
            rows.append((run.name, "", "", "", "", "no record", weights))
    header = ("run", "CC at least", "CC mean", "map off by", "frames", "found", "weights")
    return Table("Maps against the fp32 network", header, tuple(rows), words=True) if rows else None


def _sensors(report: Report) -> Table | None:
    rows = []
    for run in report.runs:
        told = [f"{name} {joules:.3g} J/frame" for name, joules in run.joules_a_frame.items()]
        last = run.rounds[-1].probes
        told += [f"{name} {value:.0f} MHz" for name, value in last.get("mhz", {}).items()]
        told += [f"{name} {value:.0f} °C" for name, value in last.get("celsius", {}).items()]
        counts: dict[str, float] = {}
        for turn in run.rounds:
            for name, value in turn.probes.get("throttled", {}).items():
                counts[name] = counts.get(name, 0.0) + value
        told += [f"throttled {name}: {value:g}" for name, value in counts.items() if value]
        if told:
            rows.append((run.name, "; ".join(told)))
    return Table("Sensors", ("run", "told at the end of its last turn"), tuple(rows), words=True) if rows else None


def _checks(report: Report) -> Table | None:
    rows = tuple((entry["name"], entry["verdict"], entry["told"]) for entry in report.options.get("checks", ()))
    return Table("Checks", ("what must hold", "it", "found"), rows, words=True) if rows else None


def _absent(report: Report) -> Table | None:
    rows = tuple((entry.name, entry.reason) for entry in report.absent)
    return Table("Absent", ("contestant", "why"), rows, words=True) if rows else None


def _machine(report: Report) -> Table:
    rows = [(name.replace("_", " "), _told(value)) for name, value in report.machine.items()]
    rows += [(f"load: {name}", _told(value)) for name, value in report.load.items()]
    rows += [
        (f"how: {name.replace('_', ' ')}", _told(value))
        for name, value in report.options.items()
        if name not in ("comparisons", "checks") and value is not None
    ]
    for run in report.runs:
        w = run.warmup
        steady = "stable" if w.stable else f"NOT stable, medians {w.spread:.0%} apart"
        rows.append((f"warm-up: {run.name}", f"{w.frames} frames in {w.seconds:.1f} s, {steady}; {run.engine}"))
    return Table("Machine and method", ("what", "value"), tuple(rows), words=True)


def _told(value: Any) -> str:
    """A value of the fingerprint in a line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_told, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def run_label(model: dict[str, Any], engine: str) -> str:
    """Such as ``salema30 int8 192x256 onnxruntime``: no version, so that two reports' runs match."""
    return f"{model['name']} {model['precision']} {model['height']}x{model['width']} {engine}"


def warm_warnings(runs: Sequence[Run]) -> list[str]:
    """Sentences for runs that never became steady."""
    return [
        f"{run.name} did not become steady in {run.warmup.seconds:.0f} s of warming up: its last medians are "
        f"{run.warmup.spread:.0%} apart"
        for run in runs
        if not run.warmup.stable
    ]


def parity_table(path: Path) -> Table:
    """What an artifact's manifest says of its check at export.

    Raises:
        SalError: it is no artifact.
    """
    backend = open_backend(path)
    try:
        record = backend.manifest.parity
    finally:
        backend.close()
    told = {"record": "none: export it again with sal-export"} if record is None else record
    rows = tuple((name.replace("_", " "), _told(value)) for name, value in told.items() if name != "by_frame")
    return Table(f"Parity of {path.name}, from its manifest", ("what", "value"), rows, words=True)
