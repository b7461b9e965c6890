"""ONNX Runtime's GPU providers where they cannot be loaded: never the CPU in silence."""

from __future__ import annotations

import gc
import importlib.util
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from sal_runtime import Engine
from sal_runtime.backends import Options
from sal_runtime.backends.choice import choose
from sal_runtime.backends.ort_cuda import left_to_the_cpu
from sal_runtime.backends.ort_cuda_stream import OrtCudaStream, Pool
from sal_runtime.backends.ort_session import open_session, settings
from sal_runtime.errors import BackendError, InputError
from sal_runtime.manifest import Manifest
from sal_runtime.session import Session
from tiny import grey, write_ema_artifact

HAS_GPU = Path("/proc/driver/nvidia/version").exists() or Path("/dev/nvhost-ctrl-gpu").exists()
pytestmark = pytest.mark.skipif(
    HAS_GPU or "CUDAExecutionProvider" not in onnxruntime.get_available_providers(),
    reason="wants an onnxruntime with GPU providers on a machine without a GPU",
)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_ema_artifact(tmp_path / "half.onnx", alpha=0.5)
    return tmp_path / "half.onnx"


@pytest.mark.parametrize(
    ("backend", "device", "provider"),
    [("onnxruntime", "cuda", "CUDA"), ("onnxruntime", "cuda:1", "CUDA"), ("onnxruntime-tensorrt", "cpu", "Tensorrt")],
)
def test_a_provider_that_cannot_be_loaded_is_an_error(
    artifact: Path, backend: str, device: str, provider: str, capfd: pytest.CaptureFixture[str]
) -> None:
    sentence = rf"^onnxruntime's {provider}ExecutionProvider cannot be used here: lib\S+: cannot open"
    with pytest.raises(BackendError, match=sentence):
        Engine.open(artifact, backend=backend, device=device)
    assert capfd.readouterr() == ("", ""), "ONNX Runtime's own lines stay off the terminal"


def test_the_cpu_where_it_was_allowed(artifact: Path) -> None:
    with Engine.open(artifact, backend="onnxruntime", device="cuda", allow_cpu_fallback=True) as engine:
        assert engine.name.endswith(" cpu")
        assert engine.note.startswith("on the CPU, in place of cuda: onnxruntime's CUDAExecutionProvider")
        session = engine.stream()
        assert [float(session.step(grey(v))[0, 0]) for v in (0, 255, 255)] == pytest.approx([0.0, 0.5, 0.75])


def test_on_a_gpu_precision_is_the_artifacts(artifact: Path) -> None:
    with pytest.raises(InputError, match="on a GPU onnxruntime computes as the artifact says"):
        Engine.open(artifact, backend="onnxruntime", device="cuda", precision="bf16")


def test_the_command_says_it_in_a_line(artifact: Path) -> None:
    command = [sys.executable, "-m", "sal_runtime", str(artifact), "--source", "demo", "--max-frames", "2"]
    gpu = ["--backend", "onnxruntime", "--device", "cuda"]
    done = subprocess.run([*command, *gpu], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr.startswith("error: onnxruntime's CUDAExecutionProvider cannot be used here: ")
    assert done.stderr.count("\n") == 1
    allowed = subprocess.run([*command, *gpu, "--allow-cpu-fallback"], capture_output=True, text=True, timeout=120)
    assert allowed.returncode == 0
    assert allowed.stdout.startswith("on the CPU, in place of cuda: ")


def test_auto_takes_tensorrt_on_a_gpu_where_it_is_installed(artifact: Path) -> None:
    choice = choose(artifact, Options(device="cuda"))
    installed = any(importlib.util.find_spec(name) for name in ("tensorrt", "tensorrt_rtx"))
    assert choice.backend == ("tensorrt" if installed else "onnxruntime")
    assert choose(artifact.with_suffix(".engine"), Options()).backend == "tensorrt"


def test_what_runs_on_the_cpu_is_seen(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "open.onnx", batch=-1)
    options = settings("fp32")
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session, _ = open_session(tmp_path / "open.onnx", options, ["CPUExecutionProvider"])
    astray = left_to_the_cpu(session)
    assert {"Mul", "ReduceMean"} <= set(astray)
    assert "Cast" not in astray


def pool_on_the_cpu(artifact: Path, graphs: bool) -> tuple[Pool, Manifest]:
    """The GPU's streams on buffers of the CPU: the same bindings, the same order."""
    session, manifest = open_session(artifact, settings("fp32"), ["CPUExecutionProvider"])
    return Pool(session, manifest, ("cpu", 0), graphs), manifest


@pytest.mark.parametrize("graphs", [True, False])
def test_the_state_swaps_and_can_be_kept(artifact: Path, graphs: bool) -> None:
    pool, manifest = pool_on_the_cpu(artifact, graphs)
    stream = OrtCudaStream(pool, 1)
    assert [float(np.abs(state).max()) for state in stream.snapshot()] == [0.0], "recording leaves no trace"
    runtime = Session(stream, manifest)
    assert [float(runtime.step(grey(v))[0, 0]) for v in (0, 255, 255)] == pytest.approx([0.0, 0.5, 0.75])
    kept = runtime.snapshot()
    assert float(runtime.step(grey(0))[0, 0]) == pytest.approx(0.375)
    runtime.restore(kept)
    assert float(runtime.step(grey(0))[0, 0]) == pytest.approx(0.375)


def test_a_closed_streams_graphs_serve_the_next_and_the_old_handle_reaches_nothing(artifact: Path) -> None:
    pool, _ = pool_on_the_cpu(artifact, graphs=True)
    white, first = np.zeros((1, 1), np.float32), OrtCudaStream(pool, 1)
    first.step(grey(255)[None], white)
    buffers = first._buffers
    first.close()
    second = OrtCudaStream(pool, 1)
    assert second._buffers is buffers
    assert [float(np.abs(state).max()) for state in second.snapshot()] == [0.0]
    first.close()
    assert OrtCudaStream(pool, 1)._buffers is not buffers, "closed twice, given back once"
    for late in (lambda: first.step(grey(0)[None], white), first.snapshot, lambda: first.restore([])):
        with pytest.raises(InputError, match="this stream has been closed; start another"):
            late()


def test_the_engine_goes_with_its_last_stream(artifact: Path) -> None:
    pool, _ = pool_on_the_cpu(artifact, graphs=True)
    gone = weakref.ref(pool._session)
    stream = OrtCudaStream(pool, 1)
    OrtCudaStream(pool, 1).close()
    gc.disable()
    try:
        pool.close()
        assert gone() is not None
        stream.close()
        assert gone() is None, "nothing waits for the collector"
    finally:
        gc.enable()
    with pytest.raises(InputError, match="this engine has been closed"):
        OrtCudaStream(pool, 1)
