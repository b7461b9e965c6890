"""Which form of the upsampling fold, and which engine, is the fastest here: the measurements behind every ``auto``.

    python -m sal_bench.folds CHECKPOINT… --update

exports each network in every form and precision and lets both CPU engines step them in a closed loop. All that compute
in one precision take turns, forth and back, so that a slow minute falls on all of them alike. ``--update`` replaces
the rows of this kind of processor in ``runtime/sal_runtime/backends/measured.json``, from which ``sal-run --backend
auto`` and ``sal-export --fold auto`` choose. Run it where nothing else runs; ``docs/fold.md`` keeps the tables.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import onnx
import typer

from sal_export import step_graph
from sal_export.fold import fold_batch_norm, fold_upsampling, is_foldable
from sal_export.options import FOLD_FORMS, FoldForm
from sal_export.parity import parity_frames
from sal_export.pipeline import load_network
from sal_export.quantise import quantise
from sal_export.trajectories import replay
from sal_runtime.backends import Backend, Options, open_backend
from sal_runtime.backends.measured import TABLE, Row, processor_kind
from sal_runtime.console import fail, out
from sal_runtime.errors import SalError
from sal_train.contract import describe
from sal_train.models import RecurrentNetwork

ENGINES = {"fp32": ("onnxruntime", "openvino"), "bf16": ("openvino",), "int8": ("onnxruntime", "openvino")}
"""What computes in each precision on a CPU."""

_SETTLE = 0.05
"""Seconds of untimed steps at the start of a turn: the other engine's threads still spin, and hold the caches."""
_CALIBRATION = 8
"""Steps that int8 ranges are taken from: enough for timing."""


@dataclasses.dataclass
class Contestant:
    """One form in one engine, and the milliseconds of its steps."""

    form: FoldForm
    engine: str
    backend: Backend
    times: list[float]

    def row(self, network: str, precision: str) -> Row:
        """Median, and half the distance between the quartiles."""
        low, middle, high = statistics.quantiles(self.times, n=4)
        spread = round((high - low) / 2.0, 3)
        return Row(processor_kind(), network, precision, self.form, self.engine, round(middle, 3), spread)


def measure(network: RecurrentNetwork, precisions: Iterable[str], rounds: int, steps: int) -> Iterator[list[Row]]:
    """Rows of one network, a list for each precision: ``rounds`` turns of ``steps`` timed steps for each contestant."""
    frames = parity_frames("demo", 16, 192, 256)
    with tempfile.TemporaryDirectory() as folder:
        for precision in precisions:
            contestants = list(_enter(network, precision, Path(folder)))
            try:
                for number in range(rounds + 1):
                    for one in contestants if number % 2 else contestants[::-1]:
                        times = _turn(one.backend, frames, steps)
                        one.times += times if number else []  # the first round warms up
            finally:
                for one in contestants:
                    one.backend.close()
            yield [one.row(network.config.architecture, precision) for one in contestants]


def _enter(network: RecurrentNetwork, precision: str, folder: Path) -> Iterator[Contestant]:
    for form in FOLD_FORMS if is_foldable(network) else FOLD_FORMS[:1]:
        path = folder / f"{network.config.name}-{form}-{precision}.onnx"
        manifest = describe(network, "int8" if precision == "int8" else "fp32", 192, 256, 1, {})
        model = step_graph.trace(fold_upsampling(fold_batch_norm(network), form), manifest)
        onnx.save(model, str(path))
        if precision == "int8":
            model = quantise(model, path, replay(path, "demo", _CALIBRATION, steps=_CALIBRATION), symmetric=False)
            step_graph.attach(model, manifest)
            onnx.save(model, str(path))
        for engine in ENGINES[precision]:
            options = Options(precision="bf16" if precision == "bf16" else "auto")
            yield Contestant(form, engine, open_backend(path, engine, options), [])


def _turn(backend: Backend, frames: list[np.ndarray[tuple[int, ...], np.dtype[np.uint8]]], steps: int) -> list[float]:
    """Milliseconds of each step, after those of :data:`_SETTLE` seconds."""
    stream = backend.stream(1)
    times: list[float] = []
    carry = np.full((1, 1), backend.manifest.normal_carry, np.float32)
    settled: float | None = None
    while len(times) < steps:
        began = time.perf_counter()
        stream.step(frames[len(times) % len(frames)][None], carry)
        ended = time.perf_counter()
        settled = ended + _SETTLE if settled is None else settled
        if began > settled:
            times.append((ended - began) * 1e3)
    stream.close()
    return times


def tables(rows: list[Row]) -> str:
    """Markdown, a table for each network: forms down, engines and precisions across; the best of a column in bold."""
    lines: list[str] = []
    for network in dict.fromkeys(row.network for row in rows):
        own = [row for row in rows if row.network == network]
        columns = list(dict.fromkeys((row.engine, row.precision) for row in own))
        lines += ["", f"| {network} | " + " | ".join(f"{engine} {precision}" for engine, precision in columns) + " |"]
        lines.append("| --- |" + " --- |" * len(columns))
        for form in dict.fromkeys(row.fold for row in own):
            cells = []
            for column in columns:
                ranked = sorted((r for r in own if (r.engine, r.precision) == column), key=lambda r: r.ms)
                row = next(r for r in ranked if r.fold == form)
                told = f"{row.ms:.1f} ± {row.spread:.1f}"
                cells.append(f"**{told}**" if row is ranked[0] and len(ranked) > 1 else told)
            lines.append(f"| {form} | " + " | ".join(cells) + " |")
    return "\n".join(lines[1:])


def update(rows: list[Row], command: str, load: float, path: Path = TABLE) -> None:
    """Replace the rows of this processor, networks and precisions in the table."""
    table = json.loads(path.read_text(encoding="utf-8"))
    new = {(row.processor, row.network, row.precision) for row in rows}
    kept = [row for row in table["rows"] if (row["processor"], row["network"], row["precision"]) not in new]
    engines = {name: _version(name) for name in ("onnxruntime", "onnxruntime-gpu", "openvino")}
    table["machines"][processor_kind()] = {
        "processor": _processor_name(),
        "threads": os.cpu_count(),
        "load_before": load,
        "taken": datetime.date.today().isoformat(),
        "command": command,
        "engines": {name: version for name, version in engines.items() if version},
    }
    ordered = sorted(kept + [dataclasses.asdict(row) for row in rows], key=lambda row: [str(v) for v in row.values()])
    del table["rows"]
    head = json.dumps(table, indent=1).removesuffix("\n}")
    body = ",\n".join(f"  {json.dumps(row)}" for row in ordered)
    path.write_text(f'{head},\n "rows": [\n{body}\n ]\n}}\n', encoding="utf-8")


def _version(package: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(package)
    return None


def _processor_name() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return processor_kind()


def folds(
    checkpoints: Annotated[list[str], typer.Argument(help="Checkpoints, or configurations for random weights.")],
    precision: Annotated[list[str] | None, typer.Option(help="fp32, bf16, int8; default: all.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Turns of every contestant.")] = 5,
    steps: Annotated[int, typer.Option(min=2, help="Timed steps a turn.")] = 4,
    write: Annotated[bool, typer.Option("--update", help="Replace this processor's rows in measured.json.")] = False,
) -> None:
    """Measure every form of the upsampling fold in every engine and precision that runs on this CPU."""
    rows: list[Row] = []
    load = os.getloadavg()[0]
    precisions = [p for p in precision or ENGINES if p != "bf16" or processor_kind() in ("x86 amx", "x86 avx512-bf16")]
    for given in checkpoints:
        path = Path(given)
        network, _ = load_network(path, None) if path.suffix else load_network(None, given)
        for found in measure(network, precisions, rounds, steps):
            rows += found
    out.print(
        f"milliseconds a frame, 192x256, median ± half the quartiles' distance; {_processor_name()}, load {load:.1f}"
    )
    out.print(tables(rows), soft_wrap=True)
    if write:
        names = " ".join(Path(given).name for given in checkpoints)
        update(rows, f"python -m sal_bench.folds {names} --update", round(load, 2))


if __name__ == "__main__":
    try:
        typer.run(folds)
    except SalError as exc:
        fail(str(exc))
