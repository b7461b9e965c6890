"""The GPU check, rehearsed on the CPU: the same command, its report, and what it says where there is no GPU."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench_reports import make_report, make_run
from numpy_device import NumpyQueue, OnnxOnNumpy
from sal_bench.gpu_check.command import speed
from sal_bench.gpu_check.counting import CountingQueue
from sal_bench.gpu_check.findings import Finding, NotRun, run_checks
from sal_bench.report import Absent, Report
from sal_runtime.backends.tensorrt_stream import TensorRtStream
from sal_runtime.errors import BackendError, MissingDependency
from sal_train.models import build_network, named_config
from sal_train.torch_backend import TorchBackend
from tiny import grey, write_clip, write_ema_artifact


def gpu_check(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sal_bench.gpu_check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=cwd)


def test_a_rehearsal_writes_the_whole_report(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.avi", frames=20, size=(640, 360))
    size = ("--config", "compact-ema", "--imgsz", 64, 96, "--source", "clip.avi")
    few = ("--frames", 6, "--samples", 12, "--rounds", 2, "--steps", 40)
    done = gpu_check("--rehearse", *size, *few, "-o", "report", cwd=tmp_path)
    assert done.returncode in (0, 1), done.stderr
    report = Report.from_json((tmp_path / "report" / "report.json").read_text(encoding="utf-8"))
    assert report.title.startswith("GPU check, rehearsed on the CPU")
    checks = {entry["name"]: entry for entry in report.options["checks"]}
    assert len(checks) == 12
    verdicts = {name: entry["verdict"] for name, entry in checks.items()}
    assert verdicts["onnxruntime fp32 computes what PyTorch computes, 6 frames with restarts"] == "holds"
    assert verdicts["onnxruntime fp16 computes what PyTorch computes, 6 frames with restarts"] == "holds"
    assert "onnxruntime fp8 computes what PyTorch computes, 6 frames with restarts" in verdicts
    assert verdicts["slots of a batch restart each by itself"] == "holds"
    assert verdicts["memory stays flat over 40 steps"] == "holds"
    assert checks["the state never leaves the device"] == {
        "name": "the state never leaves the device", "verdict": "not run", "told": "a rehearsal has no TensorRT"
    }  # fmt: skip
    assert [run.name for run in report.runs] == ["torch eager", "ours fp32 onnxruntime"]
    assert "## Checks" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_what_is_missing_is_said_in_a_sentence(tmp_path: Path) -> None:
    """A bare Python, as where nothing but the checkout was brought along."""
    packages = Path(__file__).parents[2] / "benchmarks"
    command = [sys.executable, "-S", "-m", "sal_bench.gpu_check"]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(packages)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=environment)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {sys.executable} lacks numpy, opencv-python-headless, typer, ")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_without_a_gpu_it_says_what_to_do(tmp_path: Path) -> None:
    done = gpu_check(cwd=tmp_path)
    assert done.returncode == 2
    assert "there is no GPU that PyTorch can use here" in done.stderr
    assert "--rehearse runs it on the CPU" in done.stderr.replace("\n", " ")
    assert list(tmp_path.iterdir()) == []


def test_a_check_that_breaks_keeps_no_other_from_being_run() -> None:
    def absent() -> tuple[bool, str]:
        raise NotRun("no such card")

    def missing() -> tuple[bool, str]:
        raise MissingDependency("tensorrt is not installed")

    def refused() -> tuple[bool, str]:
        raise BackendError("the engine refused")

    def faulty() -> tuple[bool, str]:
        raise ZeroDivisionError("division by zero\nsomewhere")

    found = run_checks(
        [("a", lambda: (True, "1")), ("b", lambda: (False, "2")), ("c", lambda: (None, "3")), ("d", absent),
         ("e", missing), ("f", refused), ("g", faulty)]
    )  # fmt: skip
    assert [(f.name, f.verdict) for f in found] == [
        ("a", "holds"), ("b", "fails"), ("c", "measured"), ("d", "not run"), ("e", "not run"), ("f", "fails"),
        ("g", "fails"),
    ]  # fmt: skip
    assert found[-1] == Finding("g", "fails", "ZeroDivisionError: division by zero")
    assert json.dumps([vars(f) for f in found])


@pytest.mark.parametrize("graphs", [True, False])
def test_copies_are_counted_in_replays_too(tmp_path: Path, graphs: bool) -> None:
    manifest = write_ema_artifact(tmp_path / "half.onnx")
    inner = NumpyQueue()
    queue = CountingQueue(inner)
    stream = TensorRtStream(queue, OnnxOnNumpy(tmp_path / "half.onnx", inner), manifest, 1, graphs=graphs)
    queue.up = queue.down = queue.allocations = 0
    for _ in range(5):
        stream.step(grey(1)[None], np.zeros((1, 1), np.float32))
    assert (queue.up, queue.down, queue.allocations) == (5 * (16 * 32 * 3 + 4), 5 * 16 * 32 * 4, 0)
    stream.snapshot()
    assert queue.down == 6 * 16 * 32 * 4, "a snapshot does copy the state"


def speeds(**milliseconds: float) -> Report:
    """A report of one run a name, six rounds of the same median each."""
    return make_report(*(make_run(name.replace("_", " "), [ms] * 6) for name, ms in milliseconds.items()))


def test_the_speed_is_judged_against_pytorch_eager_and_nobody_else() -> None:
    what = "TensorRT fp16 is at least 5 times as fast as PyTorch eager fp32"
    fast, slow = speeds(torch_eager=10.0, ours=1.25), speeds(torch_eager=4.0, ours=1.25)
    assert speed(fast, "ours", "torch eager", True) == Finding(what, "holds", "8.00 times, 8.00 to 8.00")
    assert speed(slow, "ours", "torch eager", True).verdict == "fails"
    gone = Absent("torch eager", "its process was ended")
    alone = dataclasses.replace(speeds(torch_compile=10.0, ours=1.25), absent=(gone,))
    assert speed(alone, "ours", "torch eager", True) == Finding(what, "fails", "torch eager: its process was ended")
    bare = speeds(torch_eager=1.25)
    assert speed(bare, "ours", "torch eager", False) == Finding(what, "not run", "it did not take part")


def test_the_network_stays_where_it_is_for_the_next_export() -> None:
    network = build_network(dataclasses.replace(named_config("compact-ema"), width=0.25))
    moved = TorchBackend(network, 32, 32, "meta")
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}
    assert {parameter.device.type for parameter in moved._network.parameters()} == {"meta"}
