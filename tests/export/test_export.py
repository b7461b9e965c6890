"""From network to artifact and back into the runtime: every configuration, both precisions, and what must not pass."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from sal_export.options import ExportOptions
from sal_export.parity import Tolerance, carry_schedule, check_parity, parity_frames, require_parity, tolerance_of
from sal_export.pipeline import export_onnx, load_network
from sal_runtime import Engine
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.errors import CheckpointError, InputError, ParityError, SourceError
from sal_train.checkpoint import save_checkpoint
from sal_train.contract import describe
from sal_train.models import CONFIGS, RecurrentNetwork, build_network, named_config
from sal_train.models.recurrence import EMA
from sal_train.torch_backend import TorchBackend
from tiny import SHARED

SMALL = ExportOptions(height=32, width=48, parity_frames=12)


def small(name: str, width: float = 0.05) -> RecurrentNetwork:
    torch.manual_seed(0)
    return build_network(dataclasses.replace(named_config(name), width=width)).eval()


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_keeps_its_tolerance_in_fp32(tmp_path: Path, name: str) -> None:
    network = small(name)
    manifest, parity = export_onnx(network, tmp_path / "m.onnx", SMALL)
    assert max(parity.error) <= 1e-5
    assert max(parity.state) <= 1e-4
    assert parity.restarts == ([0, 4, 8] if network.recurrences else list(range(12)))
    assert Engine.open(tmp_path / "m.onnx").manifest == manifest
    assert manifest.parity is not None
    assert manifest.parity["by_frame"].keys() == {"error", "cc", "kl", "state"}
    assert len(manifest.parity["by_frame"]["cc"]) == 12
    onnx.checker.check_model(str(tmp_path / "m.onnx"), full_check=True)
    assert str(Path(__file__).parents[2]).encode() not in (tmp_path / "m.onnx").read_bytes(), "no path of this machine"


@pytest.mark.parametrize("name", ["salema30", "salema7-54", "salclstm30-peephole", "salbce"])
def test_fp16_keeps_its_tolerance_and_float32_states(tmp_path: Path, name: str) -> None:
    options = dataclasses.replace(SMALL, precision="fp16", batch=None)
    _, parity = export_onnx(small(name, width=0.15), tmp_path / "m.onnx", options)
    assert min(parity.cc) >= 0.999
    graph = onnx.load(tmp_path / "m.onnx").graph
    kinds = {t.name: t.type.tensor_type.elem_type for t in (*graph.input, *graph.output)}
    assert kinds.pop("frame") == onnx.TensorProto.UINT8
    assert set(kinds.values()) == {onnx.TensorProto.FLOAT}
    weights = [i for i in graph.initializer if len(i.dims) == 4]
    assert {i.data_type for i in weights} == {onnx.TensorProto.FLOAT16}


def test_a_dynamic_batch_runs_at_any_size(tmp_path: Path) -> None:
    network = small("salema30")
    export_onnx(network, tmp_path / "m.onnx", dataclasses.replace(SMALL, batch=None))
    engine = Engine.open(tmp_path / "m.onnx")
    frames = np.random.default_rng(0).integers(0, 256, (3, 32, 48, 3), np.uint8)
    together = engine.stream(batch=3).step_batch(list(frames))
    alone = [engine.stream().step(frame) for frame in frames]
    assert together == pytest.approx(np.stack(alone), abs=1e-5)


def test_a_static_batch_is_proved_with_restarts_of_its_own(tmp_path: Path) -> None:
    manifest, _ = export_onnx(small("salema30"), tmp_path / "m.onnx", dataclasses.replace(SMALL, batch=2))
    assert manifest.frame.shape == (2, 32, 48, 3)
    assert [i for i, c in enumerate(carry_schedule(30, 0.9, slot=1)) if c == 0] == [0, 15, 25]
    assert [i for i, c in enumerate(carry_schedule(30, 0.9)) if c == pytest.approx(0.729)] == [15]


def test_any_size_divisible_by_sixteen(tmp_path: Path) -> None:
    export_onnx(
        small("salema30"), tmp_path / "m.onnx", dataclasses.replace(SMALL, height=16, width=112, parity_frames=2)
    )
    for size, sentence in (
        (100, "the height 100 is not a multiple of 16; the nearest is 96"),
        (0, "the nearest is 16"),
    ):
        with pytest.raises(InputError, match=sentence):
            export_onnx(small("salema30"), tmp_path / "n.onnx", dataclasses.replace(SMALL, height=size))
    with pytest.raises(InputError, match="a batch of 0 frames"):
        export_onnx(small("salema30"), tmp_path / "n.onnx", dataclasses.replace(SMALL, batch=0))
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_the_manifest_tells_both_alphas(tmp_path: Path) -> None:
    network = small("salema30-learnt")
    recurrence = network.recurrences["30"]
    assert isinstance(recurrence, EMA)
    recurrence.raw_alpha.data.fill_(-1.7526)
    manifest, _ = export_onnx(network, tmp_path / "m.onnx", dataclasses.replace(SMALL, parity_frames=2))
    assert manifest.recurrences[0].alpha == pytest.approx(0.1477, abs=1e-4)
    assert manifest.recurrences[0].raw_alpha == pytest.approx(-1.7526)
    assert manifest.normal_carry == pytest.approx(0.8523, abs=1e-4)


def test_a_wrong_recurrence_shows_over_time_and_the_check_says_when(tmp_path: Path) -> None:
    """An artifact that keeps too little of its state gives the right first frame, and only that."""
    network = small("salema30", width=0.2)
    other = small("salema30", width=0.2)
    export_onnx(other, tmp_path / "m.onnx", SMALL)
    frames = parity_frames("demo", 6, 32, 48)
    ok = check_parity(TorchBackend(network, 32, 48), tmp_path / "m.onnx", frames, "demo")
    assert ok.fault() is None

    other.recurrences["30"] = _Forgetful(other.config.recurrences[0])
    export_onnx(other, tmp_path / "forgetful.onnx", SMALL)
    bad = check_parity(TorchBackend(network, 32, 48), tmp_path / "forgetful.onnx", frames, "demo")
    assert bad.error[0] < 1e-5
    with pytest.raises(ParityError, match=r"x\.onnx does not compute .*: at frame 1 a map's value is off"):
        require_parity(bad, "x.onnx")
    loose = dataclasses.replace(bad, tolerance=Tolerance(state=1e-4))
    assert str(loose.fault()).startswith("at frame 1 a state is off by")


class _Forgetful(EMA):
    """An average that keeps half of what it should."""

    def forward(
        self, layer: torch.nn.Module, x: torch.Tensor, carry: torch.Tensor, before: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return super().forward(layer, x, carry * 0.5, before)


def test_an_artifact_that_fails_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sal_export.parity").parity.TOLERANCES, "fp32", Tolerance(error=0.0))
    with pytest.raises(ParityError, match="nothing was written"):
        export_onnx(small("salema30"), tmp_path / "m.onnx", SMALL)
    assert not list(tmp_path.iterdir())


def test_short_sources_run_forth_and_back(tmp_path: Path) -> None:
    frames = parity_frames("demo", 305, 32, 48)
    assert np.array_equal(frames[300], frames[298])
    with pytest.raises(SourceError, match="there is no such file"):
        parity_frames(str(tmp_path / "absent.mp4"), 3, 32, 48)


def test_checkpoints_and_configurations(tmp_path: Path) -> None:
    save_checkpoint(small("salema30"), tmp_path / "c.safetensors")
    network, origin = load_network(tmp_path / "c.safetensors", None)
    assert (network.config.name, origin) == ("salema30", {"checkpoint": "c.safetensors"})
    network, origin = load_network(tmp_path / "c.safetensors", "salbce")
    assert (network.config.name, origin) == ("salbce", {"checkpoint": "c.safetensors", "trained_as": "salema30"})
    with pytest.raises(CheckpointError, match=r"c\.safetensors: as salclstm30 it lacks recurrences\.30\.gates\.bias"):
        load_network(tmp_path / "c.safetensors", "salclstm30")
    with pytest.raises(InputError, match="name a checkpoint, or --config"):
        load_network(None, None)


def sal_export(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sal_export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280)


def test_no_gpu_is_asked_for_more_than_a_cpu() -> None:
    bounds = {}
    for name in ("salema30", "salclstm30"):
        for size in (None, (64, 96)):
            manifest = describe(small(name), "fp32", 32, 48, 1, {}, size)
            cpu, gpu = tolerance_of(manifest), tolerance_of(manifest, on_gpu=True)
            assert (gpu.error or 1.0) >= (cpu.error or 1.0)
            assert (gpu.state or 1.0) >= (cpu.state or 1.0)
            bounds[name, size] = cpu.error
    assert bounds["salema30", None] == 1e-5
    assert bounds["salclstm30", None] == 2e-3


def test_weights_of_a_training_that_was_stopped_say_so(tmp_path: Path) -> None:
    network = small("salema30")
    for name, epoch in (("stopped", 2), ("whole", 5)):
        save_checkpoint(network, tmp_path / f"{name}.safetensors", {"epoch": epoch, "epochs": 5})
    whole, stopped = (load_network(tmp_path / f"{name}.safetensors", None)[1] for name in ("whole", "stopped"))
    assert "unfinished" not in whole
    assert stopped["unfinished"] == "2 of 5 epochs"
    export_onnx(network, tmp_path / "m.onnx", dataclasses.replace(SMALL, parity_frames=2), stopped)
    told = read_manifest(tmp_path / "m.onnx").caution
    assert told == "salema30 is of a training that was stopped: 2 of 5 epochs"


def test_the_command(tmp_path: Path) -> None:
    save_checkpoint(small("salema30"), tmp_path / "c.safetensors")
    out = tmp_path / "m.onnx"
    size = ("--imgsz", 32, 48, "--parity-frames", 6)
    done = sal_export(tmp_path / "c.safetensors", "--half", *size, "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "salema30: alpha 0.1000 at layer 30" in done.stdout
    assert "salema30 fp16, 32x48, batch 1" in done.stdout
    assert "CC at least 0.99" in done.stdout

    done = sal_export(tmp_path / "c.safetensors", *size, "-o", out)
    assert (done.returncode, done.stderr) == (
        2,
        f"error: {out} exists and is kept; choose another name or pass --exist-ok\n",
    )
    done = sal_export(tmp_path / "c.safetensors", "--imgsz", 33, 48, "-o", tmp_path / "n.onnx")
    assert (done.returncode, done.stderr) == (2, "error: the height 33 is not a multiple of 16; the nearest is 32\n")
    done = sal_export(tmp_path / "c.safetensors", *size, "--opset", 99, "-o", tmp_path / "n.onnx")
    assert done.returncode == 2
    assert done.stderr.startswith("error: the operator set 99 cannot be written, this PyTorch gives ")
    assert done.stderr.count("\n") == 1
    done = sal_export("--config", "salema31")
    assert done.returncode == 2
    assert done.stderr.startswith("error: there is no configuration 'salema31'; choose from")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.safetensors", "m.onnx"]


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not beside this checkout")
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_salema30_whole_on_a_real_clip(tmp_path: Path, precision: str) -> None:
    """The real network with random weights, loudly said; twelve frames here, three hundred by default."""
    clip = SHARED / "clips" / "dhf1k-0068.avi"
    out = tmp_path / "m.onnx"
    done = sal_export(
        "--config", "salema30", "--precision", precision, "--parity-source", clip, "--parity-frames", 12, "-o", out
    )
    assert done.returncode == 0, done.stderr
    assert "RANDOM WEIGHTS" in done.stderr
    parity = Engine.open(out).manifest.parity
    assert parity is not None
    assert parity["min_cc"] >= 0.999
    if precision == "fp32":
        assert parity["max_error"] <= 1e-5
        assert parity["max_state_drift"] <= 1e-4
