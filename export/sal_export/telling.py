"""What ``sal-export`` prints of what it made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from rich.table import Table
from rich.text import Text

from sal_export.parity import UNBOUND, Parity
from sal_runtime.console import out
from sal_runtime.manifest import Manifest
from sal_runtime.trt.building import Layer
from sal_runtime.trt.sidecar import EngineRecord, record_path


def alphas(manifest: Manifest, released: bool) -> list[str]:
    """A line for each EMA, with the raw value where alpha was learnt: the two are easily confused (eq. 6 and 8)."""
    lines = []
    for recurrence in manifest.recurrences:
        if recurrence.alpha is None:
            continue
        raw = ""
        if recurrence.raw_alpha is not None:
            raw = f", raw {recurrence.raw_alpha:.4f} before its sigmoid"
        elif released:
            passed = 1.0 / (1.0 + math.exp(-recurrence.alpha))
            raw = f", the paper's; the code of that release passed it through a sigmoid and used {passed:.3f}"
        lines.append(f"{manifest.model}: alpha {recurrence.alpha:.4f} at layer {recurrence.index}{raw}")
    return lines


def tell_artifact(path: Path, manifest: Manifest, parity: Parity) -> None:
    """What was made, how well it agrees, and what to do with it."""
    table = _table()
    table.add_row("artifact", f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    _add_model(table, manifest)
    states = ", ".join(f"{s.input.name} {list(s.input.shape[1:])}" for s in manifest.states)
    table.add_row("state", states or "none")
    fold, reason = manifest.provenance["fold"], manifest.provenance.get("fold_reason")
    table.add_row("fold", f"{fold} ({reason})" if reason else str(fold))
    if "quantisation" in manifest.provenance:
        told = manifest.provenance["quantisation"]
        seen = told["calibration"]
        table.add_row(
            manifest.precision,
            f"activations {told['activations']}; ranges of {seen['frames']} frames of {seen['source']}",
        )
    _add_parity(table, parity)
    out.print(table)
    if manifest.precision == "fp8":
        out.print(f"a GPU runs it:  sal-export {path} --format engine", soft_wrap=True)
    else:
        _tell_run(path, manifest)


def _tell_run(path: Path, manifest: Manifest) -> None:
    """What to do with it; a graph that resizes takes frames of one size, which the demo's are not."""
    height, width = manifest.frame_size
    source = f"VIDEO-OF-{width}x{height}" if manifest.resizes else "demo"
    out.print(f"run it:  sal-run {path} --source {source} --save saliency.mp4", soft_wrap=True)


def tell_engine(path: Path, record: EngineRecord, parity: Parity | None) -> None:
    """The same of an engine."""
    table = _table()
    table.add_row("engine", f"{path} ({path.stat().st_size / 1e6:.1f} MB), its record {record_path(path).name}")
    _add_model(table, record.manifest)
    gpu = record.gpu
    where = "no GPU; it is compiled for the card where it is loaded" if gpu is None else f"{gpu['name']}"
    if gpu is not None:
        where += f" (compute capability {gpu['capability']}), CUDA {gpu['driver']}"
    table.add_row("built", f"by {record.library} {record.library_version} in {record.seconds:.1f} s, on {where}")
    if record.profiles:
        told = ", ".join(f"{least} to {most}, best at {best}" for least, best, most in record.profiles)
        table.add_row("batches", told)
    if parity is None:
        found = record.manifest.parity or {}
        told = f"; its .onnx: {found['frames']} frames, CC at least {found['min_cc']:.6f}" if found else ""
        table.add_row("parity", f"of the engine not run: there is no GPU here{told}")
    else:
        _add_parity(table, parity)
    out.print(table)
    if gpu is not None:
        _tell_run(path, record.manifest)


def tell_layers(layers: Sequence[Layer], title: str) -> None:
    """A line a layer."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in ("", "layer", "kind", "gives"):
        table.add_column(name, overflow="fold")
    for number, layer in enumerate(layers):
        table.add_row(str(number), Text(layer.name), Text(layer.kind), Text(layer.output))
    out.print(table)


def _table() -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column()
    return table


def _add_model(table: Table, manifest: Manifest) -> None:
    batch = "any batch" if manifest.batch is None else f"batch {manifest.batch}"
    height, width = manifest.frame_size
    resized = f", of frames {height}x{width} that it makes small itself" if manifest.resizes else ""
    table.add_row(
        "model", f"{manifest.model} {manifest.precision}, {manifest.height}x{manifest.width}{resized}, {batch}"
    )


def _add_parity(table: Table, parity: Parity) -> None:
    worst = parity.summary()
    told = f"{len(parity.error)} frames of {parity.source}, state begun anew at {', '.join(map(str, parity.restarts))}"
    table.add_row("parity", f"{told}, on {parity.backend}")
    table.add_row("", f"map off by at most {worst['max_error']:.1e}, CC at least {worst['min_cc']:.6f}")
    table.add_row(
        "", f"KL at most {worst['max_kl']:.1e}, state off by at most {worst['max_state_drift']:.1e} of its peak"
    )
    table.add_row("drift", _drift(parity))
    if parity.tolerance == UNBOUND:
        table.add_row("", "held to nothing: maps of random weights are noise, which eight bits do not keep")


def _drift(parity: Parity) -> str:
    """The state's error at a few frames over the run: growth would show."""
    count = len(parity.state)
    chosen = sorted({0, *(count * part // 6 for part in range(1, 6)), count - 1})
    return "  ".join(f"{frame}: {parity.state[frame]:.1e}" for frame in chosen)
