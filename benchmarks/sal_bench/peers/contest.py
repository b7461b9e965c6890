"""The peers' contest: everybody opened, warmed up, timed in alternating turns, and their maps held against fp32."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sal_bench.alternate import HOW, SETTLE, order, shares
from sal_bench.clock import Monotonic
from sal_bench.machine import Busy
from sal_bench.measure import check_counts, gather
from sal_bench.peers.contestants import CONTESTANTS, REFERENCE, Contestant
from sal_bench.peers.group import Lost, Worker
from sal_bench.peers.material import Material, Unmade
from sal_bench.peers.plain_int8 import CALIBRATION
from sal_bench.probes import between
from sal_bench.report import Absent, Report, Round, Run, Warmup, ratio_of
from sal_bench.sensors import Sensors, open_sensors
from sal_bench.warmup import SECONDS
from sal_export.options import ExportOptions
from sal_export.parity import parity_frames
from sal_runtime.arrays import Floats
from sal_runtime.errors import BackendError
from sal_runtime.sources import public_name
from sal_train.metrics.distribution import cc
from sal_train.models import RecurrentNetwork

FRAMES = 200
"""Samples of each contestant unless told otherwise: a released network takes a quarter of a second a frame."""
ROUNDS = 10
LIMIT = 600.0
"""Seconds that any answer may take; compiling takes longest."""


@dataclass(frozen=True)
class PeerOptions:
    """How the contest is held."""

    height: int = 192
    width: int = 256
    threads: int | None = None
    source: str = "demo"
    """The clip that all see."""
    frames: int = FRAMES
    rounds: int = ROUNDS
    warm_up: float = SECONDS
    accuracy_frames: int = 300
    """Frames on which maps are compared."""
    parity_frames: int = 30
    """Frames on which each artifact is proved when it is made."""
    limit: float = LIMIT


@dataclass
class _Entered:
    """A contestant who is there."""

    contestant: Contestant
    worker: Worker
    engine: str
    warmup: Warmup | None = None
    rounds: list[Round] = field(default_factory=list)
    accuracy: dict[str, Any] | None = None
    processor: float = 0.0


class _Contest:
    """Those who take part, and those who are out."""

    def __init__(self, on_turn: Callable[[], None]) -> None:
        self.there: list[_Entered] = []
        self.absent: list[Absent] = []
        self.on_turn = on_turn

    @contextlib.contextmanager
    def excluding(self, contestant: Contestant, when: str = "") -> Iterator[None]:
        """Within the block a contestant who fails is out, with the reason, and the contest goes on."""
        try:
            yield
        except (Lost, Unmade) as exc:
            self.absent.append(Absent(contestant.name, f"{when}{exc}"))
            self.there = [entered for entered in self.there if entered.contestant is not contestant]


def measure_peers(
    network: RecurrentNetwork,
    origin: dict[str, object],
    options: PeerOptions,
    contestants: Sequence[Contestant] = CONTESTANTS,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_turn: Callable[[], None] = lambda: None,
    given: Mapping[str, Path] | None = None,
) -> Report:
    """Let every contestant run the same weights over the same frames.

    ``given`` are artifacts that were made before: see :class:`sal_bench.peers.material.Material`.

    Raises:
        SalError: the clip cannot be read, the size does not fit, or nobody could run.
    """
    check_counts(options.frames, options.rounds)
    busy, contest = Busy(), _Contest(on_turn)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sal-bench-")))
        clip = parity_frames(options.source, options.accuracy_frames, options.height, options.width)
        exporting = ExportOptions(
            height=options.height,
            width=options.width,
            parity_source=options.source,
            calib=options.source,
            parity_frames=options.parity_frames,
        )
        material = Material(network, origin, exporting, clip, folder, given)
        for contestant in contestants:
            on_stage(f"making {contestant.material}")
            with contest.excluding(contestant):
                path = material.get(contestant.material)
                on_stage(f"opening {contestant.name}")
                worker = Worker(contestant, path, material.frames, options.threads, options.limit)
                stack.callback(worker.close)
                contest.there.append(_Entered(contestant, worker, worker.opened()))
        for entered in list(contest.there):
            on_stage(f"warming up {entered.contestant.name}")
            with contest.excluding(entered.contestant, "in warming up: "):
                entered.warmup = Warmup(**entered.worker.ask("warm", options.warm_up))
        on_stage("measuring")
        _alternate(contest, options, stack.enter_context(open_sensors()))
        on_stage("comparing maps")
        _compare_maps(contest, options)
    runs = [_run(entered, network, origin, options, material) for entered in contest.there if entered.rounds]
    if not runs:
        told = "; ".join(f"{entry.name}: {entry.reason}" for entry in contest.absent)
        raise BackendError(f"no contestant could run ({told})")
    warnings = []
    if origin.get("random_weights"):
        warnings.append(
            f"{network.config.name} has RANDOM weights: its speed counts, its maps and their CC mean nothing"
        )
    workers = math.fsum(entered.processor for entered in contest.there)
    title = f"sal-bench peers: {network.config.name} {options.height}x{options.width}"
    return gather(title, runs, busy, _method(options, runs), workers, absent=tuple(contest.absent), warnings=warnings)


def best_plain(runs: Sequence[Run], precision: str) -> Run | None:
    """The plain engine with the least median at a precision; None where there is none."""
    plain = [run for run in runs if run.settings["family"] == "plain" and run.model["precision"] == precision]
    return min(plain, key=lambda run: run.latency.p50, default=None)


def _alternate(contest: _Contest, options: PeerOptions, sensors: Sensors) -> None:
    """Turns in rounds; a worker that is lost is out, its rounds with it."""
    clock = Monotonic()
    began = clock.now()
    for number, share in enumerate(shares(options.frames, options.rounds)):
        for entered in order(list(contest.there), number):
            with contest.excluding(entered.contestant, f"in round {number + 1}: "):
                before, start = sensors.read(), clock.now()
                turn = entered.worker.ask("turn", share)
                probes = between(before, sensors.read())
                entered.processor = turn["processor"]
                entered.rounds.append(
                    Round(round(start - began, 4), turn["seconds"], tuple(turn["samples"]), probes=probes)
                )
            contest.on_turn()


def _compare_maps(contest: _Contest, options: PeerOptions) -> None:
    """Every contestant's maps of the clip against the reference's."""
    reference: Floats | None = None
    for entered in sorted(contest.there, key=lambda e: e.contestant.name != REFERENCE):
        if reference is None and entered.contestant.name != REFERENCE:
            return
        with contest.excluding(entered.contestant, "in comparing maps: "):
            maps = entered.worker.ask("maps", options.accuracy_frames)
            reference = maps if reference is None else reference
            entered.accuracy = agreement(maps, reference, public_name(options.source))


def agreement(maps: Floats, reference: Floats, source: str) -> dict[str, Any]:
    """How alike two rows of maps float32 [n, H, W] are, frame by frame, as :class:`sal_bench.report.Run` keeps it."""
    values = []
    for own, other in zip(maps, reference, strict=True):
        value = cc(own, other)
        # A flat map has no correlation: it agrees where both are flat alike.
        values.append(float(abs(own - other).max() < 1e-6) if math.isnan(value) else value)
    worst = min(range(len(values)), key=values.__getitem__)
    return {
        "min_cc": round(values[worst], 7),
        "mean_cc": round(math.fsum(values) / len(values), 7),
        "worst_frame": worst,
        "max_error": float(f"{float(abs(maps - reference).max()):.4g}"),
        "frames": len(values),
        "source": source,
        "against": REFERENCE,
    }


def _run(
    entered: _Entered, network: RecurrentNetwork, origin: dict[str, object], options: PeerOptions, material: Material
) -> Run:
    contestant = entered.contestant
    model = {
        "name": network.config.name,
        "precision": contestant.precision,
        "height": options.height,
        "width": options.width,
        "random_weights": bool(origin.get("random_weights", False)),
        "file": origin.get("checkpoint"),
    }
    manifest = material.manifests.get(contestant.material)
    parity = None if manifest is None or manifest.parity is None else dict(manifest.parity)
    if parity is not None:
        parity.pop("by_frame", None)
        model["weights_sha256"] = manifest.provenance.get("weights_sha256") if manifest else None
    settings = {"family": contestant.family, "options": contestant.options, "note": contestant.note}
    assert entered.warmup is not None
    return Run(
        contestant.name,
        "peer",
        model,
        entered.engine,
        tuple(entered.rounds),
        entered.warmup,
        settings=settings,
        parity=parity if contestant.family == "ours" else None,
        accuracy=entered.accuracy,
    )


def _method(options: PeerOptions, runs: Sequence[Run]) -> dict[str, Any]:
    """How it was held, and the comparison at equal precision."""
    ratios = []
    for run in runs:
        best = best_plain(runs, str(run.model["precision"]))
        if run.settings["family"] == "ours" and best is not None:
            ratios.append(dataclasses.asdict(ratio_of(run, best)))
    notes = {run.name: run.settings["note"] for run in runs if run.settings["note"]}
    return {
        "clock": "time.perf_counter, monotonic",
        "garbage_collection": HOW,
        "order": f"a process each, one at a time; rounds, forth and back; {SETTLE} untimed steps before each turn",
        "calibration": f"int8 on frames of the same clip; plain: {CALIBRATION}, ours: as sal-export chooses",
        **dataclasses.asdict(options),
        "source": public_name(options.source),
        "notes": notes,
        "comparisons": [{"title": "Ours as fast as the best plain engine of equal precision", "ratios": ratios}],
    }
