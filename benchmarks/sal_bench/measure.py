"""Models by scenarios: opened, warmed up, timed in turns, gathered into a report."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sal_bench.alternate import HOW, SETTLE, Entry, alternate
from sal_bench.clock import Clock, Monotonic
from sal_bench.content import run_label, warm_warnings
from sal_bench.footage import Clip, Held, held
from sal_bench.machine import Busy, fingerprint, load_warnings
from sal_bench.report import Report, Run, Warmup
from sal_bench.scenarios import ArrivingStream, ManyStreams, Scenario, Single
from sal_bench.sensors import open_sensors
from sal_bench.warmup import SECONDS, warm_up
from sal_runtime.engine import Engine
from sal_runtime.errors import InputError
from sal_runtime.manifest import Manifest
from sal_runtime.sources import public_name

FRAMES = 700
"""Samples of a run unless told otherwise: enough for p99."""
ROUNDS = 10
"""Turns they are taken in."""
SCENARIOS = ("single", "stream", "batch")


@dataclass(frozen=True)
class Options:
    """How to measure."""

    scenarios: tuple[str, ...] = ("single",)
    backends: tuple[str, ...] = ("auto",)
    precision: str = "auto"
    """Of the engine's arithmetic: see :class:`sal_runtime.backends.Options`."""
    device: str = "cpu"
    threads: int | None = None
    source: str | None = None
    frames: int = FRAMES
    """Samples of each run."""
    rounds: int = ROUNDS
    warm_up: float = SECONDS
    """Least seconds."""
    rate: float = 30.0
    """Arrivals a second in ``stream``."""
    deadline: float | None = None
    """Seconds after arrival in ``stream``."""
    streams: int = 4
    """Cameras in ``batch``."""
    seed: int = 0
    """Of noise, where there are no pictures."""
    graphs: bool = True
    """On a GPU: whether steps are CUDA graphs."""
    device_api: str = "cuda.core"
    """On a GPU: what handles TensorRT's memory."""


@dataclass
class Opened:
    """A model in an engine."""

    path: Path
    engine: Engine
    backend: str
    """The engine's short name, and ``bf16`` where it computes in that."""
    label: str
    """For people; the same in every report."""


def measure(
    models: Sequence[Path],
    options: Options,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_turn: Callable[[], None] = lambda: None,
) -> Report:
    """Time every model in every backend and scenario, alternating.

    Raises:
        SalError: a model that cannot be opened, an option that does not fit.
    """
    check_counts(options.frames, options.rounds)
    clock, busy = Monotonic(), Busy()
    with contextlib.ExitStack() as stack:
        opened = open_models(models, options, stack)
        pictures = held(options.source, options.seed)
        entries = []
        for name in options.scenarios:
            for model in opened:
                manifest = model.engine.manifest
                own = pictures.sized(*manifest.frame_size) if manifest.resizes else pictures.at(0)
                scenario = _scenario(name, model.engine, options, own, clock)
                stack.callback(scenario.close)
                entries.append((model, Entry(scenario)))
        sensors = stack.enter_context(open_sensors())
        on_stage("warming up")
        warm = [warm_up(entry.scenario.step, clock, options.warm_up) for _, entry in entries]
        on_stage("measuring")
        alternate([entry for _, entry in entries], options.frames, options.rounds, clock, sensors, on_turn)
        runs = [
            make_run(run_name(model.label, entry.scenario.name), model, entry, warmup)
            for (model, entry), warmup in zip(entries, warm, strict=True)
        ]
    return gather("sal-bench: " + ", ".join(options.scenarios), runs, busy, method(options))


def open_models(models: Sequence[Path], options: Options, stack: contextlib.ExitStack) -> list[Opened]:
    """Every model in every backend; ``stack`` closes them.

    Raises:
        SalError: one of them cannot be opened.
    """
    opened = []
    for path in models:
        for backend in options.backends:
            engine = stack.enter_context(
                Engine.open(
                    path,
                    backend=backend,
                    device=options.device,
                    threads=options.threads,
                    precision=options.precision,
                    graphs=options.graphs,
                    device_api=options.device_api,
                )
            )
            name, *_, last = engine.name.split()
            opened.append(Opened(path, engine, f"{name} bf16" if last == "bf16" else name, ""))
    for model in opened:
        model.label = run_label(model_record(model.path, model.engine.manifest), model.backend)
    labels = [model.label for model in opened]
    for model in opened:
        if labels.count(model.label) > 1:
            model.label = f"{model.label} ({model.path.stem})"
    labels = [model.label for model in opened]
    if len(set(labels)) < len(labels):
        twice = next(label for label in labels if labels.count(label) > 1)
        raise InputError(f"{twice} is named twice; each model and backend is measured once")
    return opened


def run_name(label: str, scenario: str) -> str:
    """The label, and the scenario where it is not the usual one: the same in every report."""
    return label if scenario == "single" else f"{label}, {scenario}"


def model_record(path: Path, manifest: Manifest) -> dict[str, Any]:
    """What the report keeps of a model."""
    data = path.read_bytes()
    return {
        "name": manifest.model,
        "precision": manifest.precision,
        "height": manifest.height,
        "width": manifest.width,
        "batch": manifest.batch,
        "random_weights": manifest.random_weights,
        "file": path.name,
        "bytes": len(data),
        "sha256": hashlib.sha256(data).hexdigest(),
        "weights_sha256": manifest.provenance.get("weights_sha256"),
    }


def make_run(name: str, model: Opened, entry: Entry, warmup: Warmup) -> Run:
    """An entry's turns as the report keeps them."""
    manifest, scenario = model.engine.manifest, entry.scenario
    # The check at export speaks of the artifact's own precision, not of what an engine makes of it.
    parity = None if model.backend.endswith(" bf16") else manifest.parity
    return Run(
        name,
        scenario.name,
        model_record(model.path, manifest),
        model.engine.name,
        tuple(entry.rounds),
        warmup,
        scenario.frames_a_sample,
        scenario.settings,
        None if parity is None else {key: value for key, value in parity.items() if key != "by_frame"},
    )


def gather(
    title: str, runs: Sequence[Run], busy: Busy, options: dict[str, Any], workers: float = 0.0, **more: Any
) -> Report:
    """The report of what was measured, with its warnings; ``more`` are further fields of it."""
    load = busy.stop(workers)
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    warnings = (*load_warnings(load), *warm_warnings(runs), *more.pop("warnings", ()))
    return Report(title, created, fingerprint(), load, options, tuple(runs), warnings=warnings, **more)


def method(options: Options) -> dict[str, Any]:
    """How it was measured, for the report."""
    return {
        "clock": "time.perf_counter, monotonic",
        "garbage_collection": HOW,
        "order": f"rounds, forth and back; {SETTLE} untimed steps before each turn",
        "frames": options.frames,
        "rounds": options.rounds,
        "threads": options.threads,
        "device": options.device,
        "precision": options.precision,
        "source": None if options.source is None else public_name(options.source),
    }


def check_counts(frames: int, rounds: int) -> None:
    """Raise InputError where there are fewer samples than rounds."""
    if rounds < 1 or frames < rounds:
        raise InputError(f"{frames} frames do not fill {rounds} rounds; ask for more --frames or fewer --rounds")


def _scenario(name: str, engine: Engine, options: Options, pictures: Held, clock: Clock) -> Scenario:
    if name == "single":
        return Single(engine, pictures if options.source is None else Clip(options.source), clock)
    if name == "stream":
        return ArrivingStream(engine, pictures, clock, options.rate, options.deadline)
    if name == "batch":
        return ManyStreams(engine, pictures, clock, options.streams)
    raise InputError(f"there is no scenario {name!r}; choose from {', '.join(SCENARIOS)}")
