"""The checks, then everybody's latency in one alternating run, in one report."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from sal_bench.gpu_check.findings import Finding, run_checks
from sal_bench.page import claim_files, print_report, write_report
from sal_bench.report import Report
from sal_runtime.console import err, fail, needs_extra, out, stage_bar, warn
from sal_runtime.errors import InputError, SalError
from sal_runtime.trt.library import NAMES

LEAST = 5.0
"""What is asked of TensorRT in fp16 over PyTorch's eager fp32."""


def gpu_check(
    checkpoint: Annotated[Path | None, typer.Argument(help="Weights; default: random ones of --config.")] = None,
    config: Annotated[str, typer.Option(help="Configuration without a checkpoint.")] = "salema30",
    folder: Annotated[Path, typer.Option("--out", "-o", help="Folder of the report.")] = Path("gpu-check"),
    source: Annotated[str, typer.Option(help="The clip that all see.")] = "demo",
    frames: Annotated[int, typer.Option(min=2, help="Of each parity check.")] = 300,
    samples: Annotated[int, typer.Option(min=1, help="Timed steps of each contestant.")] = 700,
    rounds: Annotated[int, typer.Option(min=1, help="Turns that they are taken in.")] = 10,
    steps: Annotated[int, typer.Option(min=20, help="Over which memory must stay flat.")] = 10_000,
    backend: Annotated[str, typer.Option(help="tensorrt, or tensorrt-rtx.")] = "tensorrt",
    device_api: Annotated[str, typer.Option(help="cuda.core or pycuda.")] = "cuda.core",
    rehearse: Annotated[bool, typer.Option("--rehearse", help="On the CPU, to see that the check works.")] = False,
    exist_ok: Annotated[bool, typer.Option("--exist-ok", help="Overwrite a report that exists.")] = False,
    imgsz: Annotated[tuple[int, int], typer.Option(help="Height and width of a frame.")] = (192, 256),
) -> None:
    """Everything that wants a GPU: parity, copies, graphs, memory, latency of every backend; one report."""
    with needs_extra("export"):
        import torch

        from sal_bench.gpu_check.checks import all_checks
        from sal_bench.gpu_check.rig import Rig
        from sal_bench.peers.contest import PeerOptions, measure_peers
        from sal_bench.peers.contestants import CONTESTANTS, REFERENCE, chosen, gpu_contestants
        from sal_export.pipeline import load_network
    if not rehearse and not torch.cuda.is_available():
        raise InputError(
            "there is no GPU that PyTorch can use here (torch.cuda.is_available() is false): run this where there is "
            "one, with a CUDA build of PyTorch; --rehearse runs it on the CPU"
        )
    installed = any(importlib.util.find_spec(name) for name in NAMES)
    if not rehearse and not installed:
        warn("neither tensorrt nor tensorrt_rtx is installed: what wants them is left out")
    claim_files(folder, exist_ok)
    network, origin = load_network(checkpoint, None if checkpoint else config)
    with tempfile.TemporaryDirectory(prefix="sal-gpu-check-") as scratch:
        os.environ["XDG_CACHE_HOME"] = scratch  # engines are built anew, and their building is in the report
        device, engine = ("cpu", "onnxruntime") if rehearse else ("cuda", backend)
        rig = Rig(network, origin, Path(scratch), source, device, engine, *imgsz, frames, steps, device_api)
        err.print("checks", style="dim")
        findings = run_checks(all_checks(rig), on_check=lambda name: err.print(f"  {name}", style="dim"))
        options = PeerOptions(
            *imgsz, source=source, frames=samples, rounds=rounds, accuracy_frames=frames, parity_frames=min(30, frames)
        )
        entered = (
            chosen([REFERENCE, "ours fp32 onnxruntime"], CONTESTANTS)
            if rehearse
            else gpu_contestants(backend, device_api)
        )
        with stage_bar() as tell:
            report = measure_peers(
                network, origin, options, entered, lambda stage: tell(stage, 0, 0), given=rig.materials()
            )
    if not rehearse:
        findings.append(speed(report, f"ours fp16 {backend}", REFERENCE, installed))
    report = with_findings(report, findings, "GPU check" + (", rehearsed on the CPU" if rehearse else ""))
    print_report(report, out)
    for path in write_report(report, folder, exist_ok):
        out.print(f"saved {path}", markup=False, soft_wrap=True)
    failing = [finding.name for finding in findings if finding.verdict == "fails"]
    if failing:
        warn(f"{len(failing)} of {len(findings)} checks fail: {'; '.join(failing)}")
        raise typer.Exit(1)


def with_findings(report: Report, findings: list[Finding], title: str) -> Report:
    """The report of the latencies with the checks' lines in it."""
    told: list[dict[str, Any]] = [dataclasses.asdict(finding) for finding in findings]
    return dataclasses.replace(report, title=f"{title}: {report.title}", options={**report.options, "checks": told})


def speed(report: Report, name: str, reference: str, installed: bool) -> Finding:
    """TensorRT in fp16 against PyTorch as it comes.

    Args:
        report: of the latencies.
        name: of TensorRT's contestant.
        reference: of PyTorch's, which ratios must be against: where it dropped out, they are against another.
        installed: whether there is a TensorRT; what is there and does not run has failed.
    """
    what = f"TensorRT fp16 is at least {LEAST:g} times as fast as PyTorch eager fp32"
    absent = [entry for entry in report.absent if entry.name in (name, reference)]
    found = [ratio for ratio in report.ratios if ratio.name == name and ratio.against == reference]
    if not found:
        told = "; ".join(f"{entry.name}: {entry.reason}" for entry in absent) or "it did not take part"
        return Finding(what, "fails" if installed else "not run", told)
    ratio = found[0]
    told = f"{ratio.ratio:.2f} times, {ratio.low:.2f} to {ratio.high:.2f}"
    return Finding(what, "holds" if ratio.ratio >= LEAST else "fails", told)


def main() -> None:
    """The command, with errors in a line."""
    try:
        typer.run(gpu_check)
    except SalError as exc:
        fail(str(exc))
