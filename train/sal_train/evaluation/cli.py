"""The command ``sal-eval``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sal_runtime.atomic import claim
from sal_runtime.console import DefaultCommandGroup, bar_over, out, warn
from sal_runtime.errors import InputError
from sal_train.data import LAYOUTS
from sal_train.evaluation.baseline import CENTER, SPREAD, Baseline
from sal_train.evaluation.compare import compare
from sal_train.evaluation.model import SIZE, open_model
from sal_train.evaluation.motion_command import motion
from sal_train.evaluation.plot import plot, require_plot
from sal_train.evaluation.report import TITLES, Evaluation, dataset_record, versions, write_text
from sal_train.evaluation.run import Options, choose_clips, evaluate, frames_of, require_labels, start_sessions
from sal_train.evaluation.show import show, show_beside, show_comparison
from sal_train.evaluation.tables import paper_table
from sal_train.metrics import METRICS

app = typer.Typer(
    cls=DefaultCommandGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    subcommand_metavar="[score|compare|show|motion] ...",
    help="How well does a model say where viewers look? [b]score[/b] is meant where no command is named.",
)

_DATA, _MODEL, _OUTPUT = "Dataset", "Model", "Output"
_NAMES = {**{name: name for name in METRICS}, **{title.lower(): name for name, title in TITLES.items()}}

Json = Annotated[Path | None, typer.Option("--json", help="All of it, to compare or show.", rich_help_panel=_OUTPUT)]
ExistOk = Annotated[bool, typer.Option("--exist-ok", help="Overwrite files that exist.", rich_help_panel=_OUTPUT)]
TableNumber = Annotated[
    int | None, typer.Option("--table", help="Print this table of the paper (1 to 4) beside.", rich_help_panel=_OUTPUT)
]


@app.command()
def score(
    model: Annotated[
        Path | None,
        typer.Argument(
            help="Artifact (.onnx) or checkpoint (.safetensors, released .pt); default: the one that ships."
        ),
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the dataset.", rich_help_panel=_DATA)] = None,
    split: Annotated[str, typer.Option(help="train, val, test, or a folder's name.", rich_help_panel=_DATA)] = "val",
    layout: Annotated[
        str | None, typer.Option(help="Default: recognised. " + ", ".join(LAYOUTS), rich_help_panel=_DATA)
    ] = None,
    fps: Annotated[
        float | None, typer.Option(min=0.01, help="Rate of the videos, where theirs is wrong.", rich_help_panel=_DATA)
    ] = None,
    max_videos: Annotated[int | None, typer.Option(min=1, help="Only the first n.", rich_help_panel=_DATA)] = None,
    vid_stride: Annotated[int, typer.Option(min=1, help="Take every n-th frame.", rich_help_panel=_DATA)] = 1,
    alpha: Annotated[
        list[float] | None,
        typer.Option(
            help="In place of the EMA's alpha; may be given several times, a row each.", rich_help_panel=_MODEL
        ),
    ] = None,
    by_time: Annotated[
        bool,
        typer.Option(
            "--by-time",
            help="Smooth over seconds by each video's frame rate; else one frame is one step, as in the paper.",
            rich_help_panel=_MODEL,
        ),
    ] = False,
    config: Annotated[
        str | None,
        typer.Option(
            help="Of a checkpoint: the configuration its weights are put into (salema30 for SalBCE's).",
            rich_help_panel=_MODEL,
        ),
    ] = None,
    imgsz: Annotated[
        tuple[int, int] | None,
        typer.Option(
            help=f"Of a checkpoint: height and width. [dim]default: {SIZE[0]} {SIZE[1]}[/dim]", rich_help_panel=_MODEL
        ),
    ] = None,
    backend: Annotated[str, typer.Option(help="Of an artifact: auto or its engine.", rich_help_panel=_MODEL)] = "auto",
    device: Annotated[str, typer.Option(help="cpu, or what the engine knows.", rich_help_panel=_MODEL)] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Of the engine on a CPU.", rich_help_panel=_MODEL)] = None,
    metrics: Annotated[
        str, typer.Option(help="Separated by commas: " + ", ".join(TITLES.values()), rich_help_panel=_OUTPUT)
    ] = "all",
    baseline: Annotated[
        str,
        typer.Option(
            help=f"Of IG: {CENTER} (a Gaussian, deviation {SPREAD:g} of each side), or a mean map (picture, .npz).",
            rich_help_panel=_OUTPUT,
        ),
    ] = CENTER,
    seed: Annotated[
        int, typer.Option(min=0, help="Of AUC-J's jitter and sAUC's samples.", rich_help_panel=_OUTPUT)
    ] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Threads that score.", rich_help_panel=_OUTPUT)] = 2,
    table: TableNumber = None,
    json_file: Json = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="A row a video.", rich_help_panel=_OUTPUT)] = None,
    exist_ok: ExistOk = False,
) -> None:
    """Score a checkpoint or an artifact by the benchmark's metrics, its state threaded from frame to frame."""
    if data is None:
        raise InputError("say which dataset: --data DIR, the folder that holds it")
    paper = None if table is None else paper_table(table)
    options = Options(
        tuple(dict.fromkeys(alpha or ())),
        by_time,
        vid_stride,
        _metrics(metrics),
        Baseline.read(baseline),
        seed,
        workers,
    )
    clips = choose_clips(data, split, layout, fps, max_videos)
    require_labels(clips, options.metrics)
    opened = open_model(model, config=config, imgsz=imgsz, backend=backend, device=device, threads=threads)
    with opened.engine:
        for session in start_sessions(opened, options.alphas):
            session.close()  # asked for now, so that a wrong alpha is told before any file's folder is made
        if opened.manifest.caution:
            warn(opened.manifest.caution)
        if options.alphas and all(clip.frames == 1 for clip in clips):
            warn("every clip is a single frame, where nothing is remembered: alpha changes nothing")
        for path in (json_file, csv_file):
            if path is not None:
                claim(path, exist_ok)
        with bar_over(opened.manifest.model, len(frames_of(clips, options))) as on_frame:
            runs = evaluate(opened, clips, options, on_frame)
        evaluation = Evaluation(
            opened.record(), dataset_record(data, split, layout, clips), _told(options), tuple(runs), versions()
        )
    if json_file is not None:
        write_text(json_file, evaluation.to_json(), exist_ok)
    if csv_file is not None:
        write_text(csv_file, evaluation.to_csv(), exist_ok)
    show(evaluation, out)
    if paper is not None:
        out.print()
        show_beside(evaluation, paper, out)


@app.command("compare")
def compare_two(
    a: Annotated[Path, typer.Argument(help="JSON of sal-eval.", show_default=False)],
    b: Annotated[Path, typer.Argument(help="JSON of sal-eval on the same videos.", show_default=False)],
    alpha_a: Annotated[float | None, typer.Option(help="Which of A's alphas.")] = None,
    alpha_b: Annotated[float | None, typer.Option(help="Which of B's alphas.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    figure: Annotated[
        Path | None, typer.Option("--plot", help="The paper's figure 3 (.png .pdf .svg).", rich_help_panel=_OUTPUT)
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="All of it.", rich_help_panel=_OUTPUT)] = None,
    csv_file: Annotated[
        Path | None, typer.Option("--csv", help="A row a video and metric.", rich_help_panel=_OUTPUT)
    ] = None,
    exist_ok: ExistOk = False,
) -> None:
    """Hold two evaluations against each other, video by video: A minus B in NSS and CC, as the paper's figure 3."""
    if figure is not None:
        require_plot(figure)
    found = compare(Evaluation.read(a), Evaluation.read(b), alpha_a, alpha_b, names=(str(a), str(b)), seed=seed)
    for path in (figure, json_file, csv_file):
        if path is not None:
            claim(path, exist_ok)
    if figure is not None:
        plot(found, figure, exist_ok)
    if json_file is not None:
        write_text(json_file, found.to_json(), exist_ok)
    if csv_file is not None:
        write_text(csv_file, found.to_csv(), exist_ok)
    show_comparison(found, out)


@app.command("show")
def show_again(
    file: Annotated[Path, typer.Argument(help="JSON of sal-eval.", show_default=False)], table: TableNumber = None
) -> None:
    """Print an evaluation again, or beside another table of the paper."""
    paper = None if table is None else paper_table(table)
    evaluation = Evaluation.read(file)
    show(evaluation, out)
    if paper is not None:
        out.print()
        show_beside(evaluation, paper, out)


def _metrics(text: str) -> tuple[str, ...]:
    """The metrics that were asked for, by either of their names."""
    if text == "all":
        return METRICS
    asked = [name.strip().lower() for name in text.split(",") if name.strip()]
    unknown = [name for name in asked if name not in _NAMES]
    if unknown or not asked:
        raise InputError(f"--metrics {text}: no such metric; choose from {', '.join(TITLES.values())}")
    return tuple(metric for metric in METRICS if metric in {_NAMES[name] for name in asked})


def _told(options: Options) -> dict[str, object]:
    """The options as the results keep them."""
    return {
        "by_time": options.by_time,
        "vid_stride": options.vid_stride,
        "metrics": list(options.metrics),
        "baseline": options.baseline.name,
        "seed": options.seed,
    }


app.command("motion")(motion)
