"""The command ``sal-bench``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

from sal_bench import end_to_end as whole
from sal_bench.compare import CAVEAT, read_report
from sal_bench.compare import compare as compare_reports
from sal_bench.content import parity_table
from sal_bench.measure import FRAMES, ROUNDS, SCENARIOS, Options, measure
from sal_bench.page import claim_files, print_report, write_report
from sal_bench.report import Report
from sal_bench.warmup import SECONDS
from sal_runtime.backends import BACKENDS
from sal_runtime.bundled import CHECKPOINT, default_model
from sal_runtime.console import DefaultCommandGroup, err, needs_extra, out, typed, warn
from sal_runtime.errors import InputError

app = typer.Typer(
    cls=DefaultCommandGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    subcommand_metavar="[run|compare|peers] ...",
    help="How fast is a model here, and can the figure be believed? [b]run[/b] is meant where no command is named.",
)

_HOW, _MODEL, _OUTPUT, _WHOLE = "How", "Model", "Output", "End to end"

Out = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="Folder for report.json, .md, .html and .svg.", rich_help_panel=_OUTPUT),
]
ExistOk = Annotated[bool, typer.Option("--exist-ok", help="Overwrite files that exist.", rich_help_panel=_OUTPUT)]
Threads = Annotated[int | None, typer.Option(min=1, help="Of CPU engines.", rich_help_panel=_MODEL)]
Rounds = Annotated[
    int, typer.Option(min=1, help="Turns that the contestants take; 6 or more decide.", rich_help_panel=_HOW)
]
WarmUp = Annotated[float, typer.Option(min=0.0, help="Least seconds; it goes on until stable.", rich_help_panel=_HOW)]


@app.command()
def run(
    context: typer.Context,
    models: Annotated[
        list[Path] | None, typer.Argument(help="Artifacts made by sal-export; default: the one that ships.")
    ] = None,
    scenario: Annotated[
        list[str] | None,
        typer.Option(help=f"{', '.join(SCENARIOS)}; may be given several times.", rich_help_panel=_HOW),
    ] = None,
    rate: Annotated[float, typer.Option(help="Of stream: arrivals a second.", rich_help_panel=_HOW)] = 30.0,
    deadline: Annotated[
        float | None, typer.Option(min=0.0, help="Of stream: ms after arrival; default: 1/rate.", rich_help_panel=_HOW)
    ] = None,
    streams: Annotated[int, typer.Option(min=1, help="Of batch: how many.", rich_help_panel=_HOW)] = 4,
    source: Annotated[
        str | None, typer.Option(help="Video or folder; default: the demo's frames.", rich_help_panel=_HOW)
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(min=1, help=f"Samples a run, by default {FRAMES}; p99 wants 662.", rich_help_panel=_HOW),
    ] = None,
    rounds: Annotated[
        int | None,
        typer.Option(
            min=1, help=f"Turns they are taken in, by default {ROUNDS}; 6 or more decide.", rich_help_panel=_HOW
        ),
    ] = None,
    warm_up: WarmUp = SECONDS,
    backend: Annotated[
        list[str] | None,
        typer.Option(help=f"auto, {', '.join(BACKENDS)}; may be given several times.", rich_help_panel=_MODEL),
    ] = None,
    precision: Annotated[
        str, typer.Option(help="Of an engine that has the choice: auto, f32, bf16.", rich_help_panel=_MODEL)
    ] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.", rich_help_panel=_MODEL)] = "cpu",
    threads: Threads = None,
    graphs: Annotated[bool, typer.Option(help="On a GPU: steps as CUDA graphs.", rich_help_panel=_MODEL)] = True,
    device_api: Annotated[
        str, typer.Option(help="On a GPU: cuda.core or pycuda, for TensorRT's memory.", rich_help_panel=_MODEL)
    ] = "cuda.core",
    end_to_end: Annotated[
        bool,
        typer.Option(
            "--end-to-end", help="What sal-run on --source costs over the model alone.", rich_help_panel=_WHOLE
        ),
    ] = False,
    sink: Annotated[
        str, typer.Option(help=f"What such a run writes: {', '.join(whole.SINKS)}.", rich_help_panel=_WHOLE)
    ] = "overlay",
    parity: Annotated[
        bool,
        typer.Option(
            "--parity", help="Print the artifact's own record of its check at export.", rich_help_panel=_MODEL
        ),
    ] = False,
    seed: Annotated[int, typer.Option(help="Of noise, where there are no pictures.", rich_help_panel=_HOW)] = 0,
    folder: Out = None,
    exist_ok: ExistOk = False,
) -> None:
    """Time models: latencies with their tails, stages, sensors, and the machine they were taken on."""
    _require_meaning(typed(context), scenario or ["single"], end_to_end)
    options = Options(
        tuple(dict.fromkeys(scenario or ("single",))),
        tuple(dict.fromkeys(backend or ("auto",))),
        precision,
        device,
        threads,
        source,
        frames or (whole.FRAMES * whole.ROUNDS if end_to_end else FRAMES),
        rounds or (whole.ROUNDS if end_to_end else ROUNDS),
        warm_up,
        rate,
        None if deadline is None else deadline / 1e3,
        streams,
        seed,
        graphs,
        device_api,
    )
    paths = list(models or [default_model()])
    if end_to_end and (source is None or len(paths) * len(options.backends) > 1):
        raise InputError("--end-to-end runs one model in one backend over a file: name it with --source FILE")
    _claim(folder, exist_ok)
    contestants = 2 if end_to_end else len(paths) * len(options.scenarios) * len(options.backends)
    with _progress(options.rounds * contestants) as (on_stage, on_turn):
        if end_to_end:
            assert source is not None
            report = whole.measure_end_to_end(paths[0], source, sink, options, on_stage, on_turn)
        else:
            report = measure(paths, options, on_stage, on_turn)
    _tell(report, folder, exist_ok)
    if parity:
        for path in paths:
            out.print(parity_table(path).rich())


def _require_meaning(words: dict[str, str], scenarios: list[str], end_to_end: bool) -> None:
    """Refuse options that would be dropped in silence."""
    for name, wants in (("rate", "stream"), ("deadline", "stream"), ("streams", "batch")):
        if name in words and (end_to_end or wants not in scenarios):
            raise InputError(f"{words[name]} is for --scenario {wants}")
    if end_to_end and "scenario" in words:
        raise InputError("--end-to-end is a scenario of its own; leave out --scenario")
    if "sink" in words and not end_to_end:
        raise InputError("--sink is for --end-to-end")


@app.command()
def compare(
    a: Annotated[Path, typer.Argument(help="report.json, or the folder that --out made.")],
    b: Annotated[Path, typer.Argument(help="Another.")],
) -> None:
    """Say for every run that both reports have whether it became faster, with an interval."""
    found = compare_reports(read_report(a), read_report(b))
    if found.machines:
        warn("the two machines, or what is installed on them, differ; see below")
    for table in found.tables():
        out.print(table.rich())
    for name in found.left_over:
        out.print(f"only in one of them: {name}", markup=False)
    out.print(CAVEAT, style="dim", markup=False)


@contextlib.contextmanager
def _progress(turns: int) -> Iterator[tuple[Callable[[str], None], Callable[[], None]]]:
    """A bar of turns; nothing where stderr is not a terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    # It is redrawn by the turns only: a drawing thread would take part in what is measured.
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal, auto_refresh=False) as bar:
        task = bar.add_task("opening", total=turns)

        def on_stage(stage: str) -> None:
            bar.update(task, description=stage)
            bar.refresh()

        def on_turn() -> None:
            bar.advance(task)
            bar.refresh()

        yield on_stage, on_turn


def _claim(folder: Path | None, exist_ok: bool) -> None:
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; --out names a folder")
        claim_files(folder, exist_ok)


def _tell(report: Report, folder: Path | None, exist_ok: bool) -> None:
    for warning in report.warnings:
        warn(warning)
    print_report(report, out)
    if folder is not None:
        for path in write_report(report, folder, exist_ok):
            out.print(f"saved {path}", markup=False, soft_wrap=True)


@app.command()
def peers(
    checkpoint: Annotated[
        str | None, typer.Argument(help="Weights (.safetensors, released .pt), or a configuration for random ones.")
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Configuration of a .pt, or of random weights.", rich_help_panel=_MODEL)
    ] = None,
    imgsz: Annotated[tuple[int, int], typer.Option(help="Height and width of a frame.", rich_help_panel=_MODEL)] = (
        192,
        256,
    ),
    threads: Threads = None,
    device: Annotated[str, typer.Option(help="cpu or cuda: who takes part.", rich_help_panel=_MODEL)] = "cpu",
    only: Annotated[
        list[str] | None,
        typer.Option(help="Contestants whose names hold this; may be given several times.", rich_help_panel=_HOW),
    ] = None,
    source: Annotated[str, typer.Option(help="The clip that all see.", rich_help_panel=_HOW)] = "demo",
    frames: Annotated[int, typer.Option(min=1, help="Samples of each.", rich_help_panel=_HOW)] = 200,
    rounds: Rounds = ROUNDS,
    warm_up: WarmUp = SECONDS,
    accuracy_frames: Annotated[
        int, typer.Option(min=1, help="Frames on which maps are compared.", rich_help_panel=_HOW)
    ] = 300,
    parity_frames: Annotated[
        int, typer.Option(min=1, help="Frames of the check of each artifact.", rich_help_panel=_HOW)
    ] = 30,
    limit: Annotated[
        float, typer.Option(min=1.0, help="Seconds that any answer of a contestant may take.", rich_help_panel=_HOW)
    ] = 600.0,
    seed: Annotated[int, typer.Option(help="Of random weights.", rich_help_panel=_MODEL)] = 0,
    folder: Out = None,
    exist_ok: ExistOk = False,
) -> None:
    """Run one checkpoint through what a user would take instead, and through ours, alternating, a process each."""
    with needs_extra("export"):
        from sal_bench.peers.contest import PeerOptions, measure_peers
        from sal_bench.peers.contestants import CONTESTANTS, chosen, gpu_contestants
        from sal_export.pipeline import load_network
        from sal_train.models import CONFIGS
    if device not in ("cpu", "cuda"):
        raise InputError(f"the peers meet on cpu or cuda, not {device!r}")
    path: Path | None = None
    if checkpoint in CONFIGS and config is None and not Path(checkpoint).exists():
        config = checkpoint
    elif checkpoint is not None:
        path = Path(checkpoint)
        if path.suffix in (".onnx", ".engine"):
            raise InputError(f"{path} is an artifact; the peers start from weights (.safetensors, .pt)")
    elif config is None:
        path = default_model(CHECKPOINT)
    contestants = chosen(only or (), CONTESTANTS if device == "cpu" else gpu_contestants())
    network, origin = load_network(path, config, seed)
    if "random_weights" in origin:
        warn(f"{config} gets RANDOM WEIGHTS: its speed counts, its maps mean nothing")
    _claim(folder, exist_ok)
    options = PeerOptions(
        imgsz[0], imgsz[1], threads, source, frames, rounds, warm_up, accuracy_frames, parity_frames, limit
    )
    with _progress(rounds * len(contestants)) as (on_stage, on_turn):
        report = measure_peers(network, origin, options, contestants, on_stage, on_turn)
    _tell(report, folder, exist_ok)
