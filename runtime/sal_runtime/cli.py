"""The command ``sal-run``."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from sal_runtime.atomic import claim
from sal_runtime.backends import BACKENDS
from sal_runtime.bundled import default_model
from sal_runtime.console import build_progress, err, out, typed, warn
from sal_runtime.engine import Engine
from sal_runtime.errors import InputError
from sal_runtime.publish import discard_all
from sal_runtime.render import Layout, Renderer
from sal_runtime.run import Summary, run
from sal_runtime.sinks import Sink
from sal_runtime.sinks.jsonl import JsonLines, JsonPrinter
from sal_runtime.sinks.maps import MapFolder
from sal_runtime.sinks.npz import NpzFile
from sal_runtime.sinks.overlay import OverlayPicture, OverlayVideo
from sal_runtime.sinks.window import Window
from sal_runtime.snapshot import Snapshot
from sal_runtime.sources import Source, SourceOptions, open_source
from sal_runtime.sources.images import ImageSource, is_image
from sal_runtime.stopping import StopRequest

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")

STDOUT = Path("-")
_OUTPUT, _MODEL, _SOURCE, _GPU = "Output", "Model", "Source", "On a GPU"


@app.command()
def sal_run(
    context: typer.Context,
    model: Annotated[
        Path | None, typer.Argument(help="Artifact made by sal-export; default: the one that ships.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Video, picture, folder, glob, address, camera, or [b]demo[/b].", rich_help_panel=_SOURCE),
    ] = None,
    camera: Annotated[int | None, typer.Option(help="Camera by number.", rich_help_panel=_SOURCE)] = None,
    vid_stride: Annotated[int, typer.Option(min=1, help="Take every n-th frame.", rich_help_panel=_SOURCE)] = 1,
    fps: Annotated[
        float | None,
        typer.Option(min=0.01, max=1000, help="Rate of pictures without one.", rich_help_panel=_SOURCE),
    ] = None,
    max_frames: Annotated[int | None, typer.Option(min=1, help="Stop after so many.", rich_help_panel=_SOURCE)] = None,
    allow_truncated: Annotated[
        bool, typer.Option("--allow-truncated", help="Take a damaged video as far as it goes.", rich_help_panel=_SOURCE)
    ] = False,
    save: Annotated[
        Path | None, typer.Option(help="Video (.mp4 .avi .mkv .webm) or picture with the map.", rich_help_panel=_OUTPUT)
    ] = None,
    layout: Annotated[
        Layout, typer.Option(help="What --save and --show draw.", rich_help_panel=_OUTPUT)
    ] = Layout.overlay,
    save_maps: Annotated[Path | None, typer.Option(help="Folder of map images.", rich_help_panel=_OUTPUT)] = None,
    bits: Annotated[int, typer.Option(help="8 or 16, for --save-maps.", rich_help_panel=_OUTPUT)] = 8,
    save_npz: Annotated[Path | None, typer.Option(help="All maps as float32.", rich_help_panel=_OUTPUT)] = None,
    save_jsonl: Annotated[
        Path | None,
        typer.Option(help="One line a frame: peak, carry, stage times; - prints them.", rich_help_panel=_OUTPUT),
    ] = None,
    show: Annotated[bool, typer.Option("--show", help="Open a window; q ends.", rich_help_panel=_OUTPUT)] = False,
    exist_ok: Annotated[
        bool, typer.Option("--exist-ok", help="Overwrite files that exist.", rich_help_panel=_OUTPUT)
    ] = False,
    backend: Annotated[
        str, typer.Option(help=f"auto (by measurement), {', '.join(BACKENDS)}.", rich_help_panel=_MODEL)
    ] = "auto",
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.", rich_help_panel=_MODEL)] = "cpu",
    threads: Annotated[int | None, typer.Option(min=1, help="Of the CPU engine.", rich_help_panel=_MODEL)] = None,
    precision: Annotated[
        str, typer.Option(help="auto (as the artifact says), f32, or bf16 in OpenVINO.", rich_help_panel=_MODEL)
    ] = "auto",
    hint: Annotated[
        str, typer.Option(help="latency, or throughput: what OpenVINO is tuned for.", rich_help_panel=_MODEL)
    ] = "latency",
    alpha: Annotated[
        float | None, typer.Option(help="Replace the EMA's alpha: less is smoother.", rich_help_panel=_MODEL)
    ] = None,
    reset_on_cuts: Annotated[
        bool, typer.Option(help="Start the state anew at hard cuts.", rich_help_panel=_MODEL)
    ] = True,
    resume: Annotated[
        Path | None, typer.Option(help="Go on from a state saved before.", rich_help_panel=_MODEL)
    ] = None,
    save_state: Annotated[
        Path | None, typer.Option(help="Keep the state at the end (.npz).", rich_help_panel=_MODEL)
    ] = None,
    graphs: Annotated[bool, typer.Option(help="Replay steps as CUDA graphs.", rich_help_panel=_GPU)] = True,
    device_api: Annotated[
        str, typer.Option(help="What handles TensorRT's memory: cuda.core or pycuda.", rich_help_panel=_GPU)
    ] = "cuda.core",
    workspace: Annotated[
        int | None, typer.Option(min=1, help="MiB for kernels of an engine built on first use.", rich_help_panel=_GPU)
    ] = None,
    allow_cpu_fallback: Annotated[
        bool,
        typer.Option("--allow-cpu-fallback", help="Let onnxruntime run on the CPU instead.", rich_help_panel=_GPU),
    ] = False,
) -> None:
    """Where do viewers look? Runs a model over a video or camera, its state threaded from frame to frame."""
    if bits not in (8, 16):
        raise InputError(f"--bits is 8 or 16, not {bits}")
    if (source is None) == (camera is None):
        if model is not None and model.suffix not in (".onnx", ".engine") and source is None:
            raise InputError(f"{model} is no model (.onnx, .engine); to run on it: --source {model}")
        raise InputError("say where frames come from: --source FILE, --source demo or --camera 0 (one of them)")
    if model is not None and is_image(model):
        raise InputError(f"{model} is no model (.onnx, .engine); a pattern wants quotes: --source 'frames/*.jpg'")
    words = typed(context)
    if "bits" in words and save_maps is None:
        raise InputError("--bits is for --save-maps")
    printing = save_jsonl == STDOUT
    written = (save, save_maps, save_npz, None if printing else save_jsonl, save_state)
    outputs = [path for path in written if path is not None]
    _require_distinct(outputs, source)
    with contextlib.ExitStack() as stack:
        with build_progress() as on_build:  # which Ctrl-C ends with its present step
            engine = stack.enter_context(
                Engine.open(
                    model or default_model(),
                    backend=backend,
                    device=device,
                    threads=threads,
                    precision=precision,
                    hint=hint,
                    graphs=graphs,
                    device_api=device_api,
                    allow_cpu_fallback=allow_cpu_fallback,
                    workspace=workspace,
                    on_build=on_build,
                )
            )
        stop = stack.enter_context(StopRequest())
        told = err if printing else out
        if engine.manifest.caution:
            warn(engine.manifest.caution)
        session = engine.stream(1, alpha=alpha, detect_cuts=reset_on_cuts)
        if engine.note:
            told.print(engine.note, style="dim", soft_wrap=True)
        kept = None if resume is None else Snapshot.load(resume)
        if kept is not None:
            session.restore(kept)
        frames = open_source(
            source if source is not None else str(camera), SourceOptions(vid_stride, fps, allow_truncated)
        )
        sinks: list[Sink] = []
        try:
            if "fps" in words and not isinstance(frames, ImageSource):
                raise InputError(f"--fps is for pictures; {frames.name} has a rate of its own, {frames.fps:g}")
            if save_state is not None:
                claim(save_state, exist_ok)
            window = Window(Renderer(layout)) if show else None
            _open_sinks(sinks, frames, layout, save, save_maps, bits, save_npz, save_jsonl, exist_ok)
        except BaseException:
            frames.close()
            discard_all(sinks)
            raise
        with _progress(frames, max_frames) as on_frame:
            summary = run(
                session,
                frames,
                sinks,
                window=window,
                max_frames=max_frames,
                clock_from=_clock_after(kept, frames),
                stopped=lambda: stop.requested,
                on_frame=on_frame,
            )
        if save_state is not None:
            session.snapshot().save(save_state, exist_ok)
            summary.outputs.append(save_state)
        if frames.note is not None:
            warn(frames.note)
        told.print(_report(summary, engine, frames))
    if summary.stopped:
        raise typer.Exit(130)


def _clock_after(kept: Snapshot | None, source: Source) -> float:
    """Where a recording's clock begins that goes on from a kept state: one frame after the last one seen.

    A camera's clock goes on by itself, and how long it was away counts.
    """
    last = None if kept is None or source.live else kept.slots[0].timestamp
    return 0.0 if last is None else last + 1.0 / source.fps


def _require_distinct(outputs: Sequence[Path], source: str | None) -> None:
    """Refuse outputs that would overwrite each other or what they are made from.

    Raises:
        InputError: two outputs of one name, or one that is the source or holds it.
    """
    whole = [path.absolute() for path in outputs]
    twice = next((path for path in outputs if whole.count(path.absolute()) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} is named for two outputs; give each its own name")
    if source is not None and Path(source).exists():
        origin = Path(source).resolve()
        for path in outputs:
            if path.resolve() == origin or path.resolve() in origin.parents:
                raise InputError(f"{path} is or holds the source; choose another name for the output")


def _open_sinks(
    sinks: list[Sink],
    source: Source,
    layout: Layout,
    save: Path | None,
    save_maps: Path | None,
    bits: int,
    save_npz: Path | None,
    save_jsonl: Path | None,
    exist_ok: bool,
) -> None:
    """Open what was asked for; ``sinks`` is filled as it goes, so that the caller can discard after an error."""
    if save is not None and is_image(save):
        if source.frames != 1:
            raise InputError(
                f"{save}: a picture keeps one frame and {source.name} has more; save to .mp4 or --save-maps"
            )
        sinks.append(OverlayPicture(save, Renderer(layout), exist_ok))
    elif save is not None:
        sinks.append(OverlayVideo(save, Renderer(layout), source.fps, source.live, exist_ok))
    if save_maps is not None:
        sinks.append(MapFolder(save_maps, bits, exist_ok))
    if save_npz is not None:
        sinks.append(NpzFile(save_npz, exist_ok))
    if save_jsonl is not None:
        sinks.append(JsonPrinter() if save_jsonl == STDOUT else JsonLines(save_jsonl, exist_ok))


class _progress:  # noqa: N801 - used as a function
    """A bar with frames, frames a second and the time left; nothing where stderr is not a terminal."""

    def __init__(self, source: Source, max_frames: int | None) -> None:
        known = [n for n in (source.frames, max_frames) if n is not None]
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=err,
            transient=True,
            disable=not err.is_terminal,
        )
        self._task = self._bar.add_task(source.name, total=min(known) if known else None, rate="")

    def __enter__(self) -> Callable[[Summary], None]:
        self._bar.start()
        return self._note

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def _note(self, summary: Summary) -> None:
        speed = self._bar.tasks[0].finished_speed or self._bar.tasks[0].speed
        dropped = f", {summary.dropped} dropped" if summary.dropped else ""
        self._bar.update(self._task, completed=summary.frames, rate=f"{speed:.1f} fps{dropped}" if speed else "")


def _report(summary: Summary, engine: Engine, source: Source) -> Table:
    """The summary, as a table."""
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    manifest = engine.manifest
    table.add_row("model", f"{manifest.model} {manifest.precision} {manifest.height}x{manifest.width}, {engine.name}")
    if engine.why:
        table.add_row("engine", f"{engine.name.split()[0]}: {engine.why}")
    dropped = f", {summary.dropped} dropped" if source.live else ""
    table.add_row("frames", f"{summary.frames}{dropped} in {summary.seconds:.1f} s, {summary.fps:.1f} fps")
    table.add_row(
        "ms a frame", ", ".join(f"{name} {value:.1f}" for name, value in summary.medians().items()) + " (median)"
    )
    if summary.restarts:
        told = ", ".join(f"{reason} {count}x" for reason, count in summary.restarts.items())
        table.add_row("begun anew", f"{told} (the state forgets what came before)")
    for path in summary.outputs:
        table.add_row("saved", str(path))
    if summary.stopped:
        told = "what is saved is whole up to there" if summary.frames else "before the first frame; nothing was kept"
        table.add_row("stopped", f"by the user; {told}")
    return table
