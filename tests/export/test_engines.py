"""Engines of the paper's networks and of the compact one, built by TensorRT for RTX; and the command for them."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sal_export.engines import EngineOptions, export_engine
from sal_export.inspection import parse_layers
from sal_export.options import ExportOptions
from sal_export.pipeline import export_onnx
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.errors import BackendError, InputError, SourceError
from sal_runtime.trt.building import network_layers
from sal_runtime.trt.library import load_library
from sal_runtime.trt.sidecar import read_record
from sal_train.models import RecurrentNetwork, build_network, named_config
from tiny import SHARED, write_clip, write_ema_artifact

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has wheels for Linux and Windows only")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("sal_export.trajectories.REPLAYED", 4)


def network(name: str) -> RecurrentNetwork:
    torch.manual_seed(0)
    return build_network(dataclasses.replace(named_config(name), width=0.25)).eval()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8", "fp8"])
@pytest.mark.parametrize("name", ["salema30", "salclstm30", "compact-ema"])
def test_every_network_in_every_precision(
    tmp_path: Path, name: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Random narrow networks correlate with nothing in eight bits; that int8 is right is tested elsewhere.
    monkeypatch.setattr("sal_export.pipeline.require_parity", lambda parity, what: None)
    clip = str(write_clip(tmp_path / "clip.avi", frames=8))
    options = ExportOptions(
        precision, 64, 96, parity_frames=2, parity_source=clip, calib=clip, calib_frames=2, target="tensorrt"
    )
    export_onnx(network(name), tmp_path / "m.onnx", options)
    library = load_library("tensorrt_rtx")
    record, parity = export_engine(tmp_path / "m.onnx", tmp_path / "m.engine", library)
    assert (tmp_path / "m.engine").stat().st_size > 10_000
    assert record == read_record(tmp_path / "m.engine")
    assert record.manifest.precision == precision
    if record.gpu is None:
        assert parity is None

    kinds: dict[str, list[str]] = {}
    for layer in network_layers(library, (tmp_path / "m.onnx").read_bytes()):
        kinds.setdefault(layer.kind, []).append(layer.output)
    convolutions = kinds["convolution"] + kinds.get("deconvolution", [])
    assert {text.split("[")[0] for text in convolutions} == {"float16" if precision == "fp16" else "float32"}
    quantised = kinds.get("quantize", [])
    assert {text.split("[")[0] for text in quantised} == {"int8": {"int8"}, "fp8": {"float8"}}.get(precision, set())
    states = [state.output for state in record.manifest.states]
    assert {state.dtype for state in states} == {"float32"}


def test_the_engine_and_its_record_appear_together_or_not_at_all(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    library = load_library("tensorrt_rtx")

    def broken(phase: str, done: int, total: int) -> None:
        raise BackendError("somebody pulled the plug")

    with pytest.raises(BackendError, match="pulled the plug"):
        export_engine(tmp_path / "half.onnx", tmp_path / "half.engine", library, on_build=broken)
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == ["half.onnx"]
    export_engine(tmp_path / "half.onnx", tmp_path / "half.engine", library)
    left = sorted(p.name for p in tmp_path.iterdir() if p.name != "cache")
    assert left == ["half.engine", "half.engine.json", "half.onnx"]


def test_what_an_inspector_tells() -> None:
    told = (
        '{"Layers": [{"Name": "conv1 + relu", "LayerType": "CaskConvolution", "Outputs": '
        '[{"Name": "x", "Dimensions": [1, 64, 8, 8], "Format/Datatype": "Half"}]}, "a name alone"], "I/O Tensors": []}'
    )
    first, second = parse_layers(told)
    assert (first.name, first.kind, first.output) == ("conv1 + relu", "CaskConvolution", "Half [1, 64, 8, 8]")
    assert (second.name, second.kind) == ("a name alone", "")
    with pytest.raises(BackendError, match="does not answer in its own format"):
        parse_layers("Layers:")


def sal_export(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sal_export", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, cwd=cwd)


def flat(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_the_command_from_weights_to_engine(tmp_path: Path) -> None:
    done = sal_export(
        "--half", "--format", "onnx,engine", "--target", "tensorrt-rtx", "--parity-frames", 3, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "building a TensorRT engine; this may take minutes" in done.stderr
    made = {"compact-ema-fp16.engine", "compact-ema-fp16.engine.json", "compact-ema-fp16.onnx"}
    assert made <= {p.name for p in tmp_path.iterdir()}
    assert "by tensorrt_rtx" in flat(done.stdout)
    assert "of the engine not run: there is no GPU here; its .onnx: 3 frames, CC at least" in flat(done.stdout)
    moved = tmp_path / "another folder" / "m.engine"
    assert read_record(tmp_path / "compact-ema-fp16.engine").rebuild(moved) == (
        f"sal-export --half --target tensorrt-rtx --parity-frames 3 --format engine -o '{moved}' --exist-ok"
    )
    again = sal_export("--half", "--format", "engine", "--target", "tensorrt-rtx", cwd=tmp_path)
    assert again.returncode == 2
    assert "compact-ema-fp16.engine exists and is kept" in flat(again.stderr)


def test_the_command_from_an_artifact_needs_no_torch(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "half.onnx", batch=-1)
    (tmp_path / "text.onnx").write_text("no model")
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError('no torch', name='torch')")
    rtx = ("--target", "tensorrt-rtx")
    done = sal_export("half.onnx", "--format", "engine", *rtx, "--profile", "1:2:4", "--inspect", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "1 to 4, best at 2" in done.stdout
    assert read_record(tmp_path / "half.engine").profiles == ((1, 2, 4),)
    for arguments, sentence in (
        (("half.onnx",), "half.onnx: is an artifact already; --format engine builds an engine from it"),
        (("half.engine",), "half.engine: is an engine already; --inspect prints its layers, sal-run runs it"),
        (("half.onnx", "--precision", "int8"), "--precision is settled in half.onnx; name the weights to choose"),
        (("half.onnx", "--format", "engine", "--imgsz", "96", "128"), "--imgsz is settled in half.onnx"),
        (
            ("half.onnx", "--format", "engine", "--device", "cpu"),
            "an engine is for a GPU: --device cuda or cuda:N",
        ),
        (("half.onnx", "--format", "engine", "--parity-source", "no.mp4"), "no.mp4: there is no such file"),
        (("text.onnx", "--inspect"), "text.onnx: cannot open it: not an ONNX model"),
        (("--workspace", "64"), "--workspace is for engines: add --format engine"),
        (("--calib", "clip.mp4"), "--calib is for --precision int8 and fp8, not fp32"),
        (("--half", "--precision", "int8"), "give one of --precision, --half and --int8"),
        (("half.onnx", "--format", "plan"), "there is no format 'plan'; choose from onnx, engine, or onnx,engine"),
        (("half.onnx", "--format", "engine", "--target", "cpu"), "--target tensorrt or tensorrt-rtx, not cpu"),
        (("half.onnx", "--format", "engine", *rtx, "--profile", "4:1:4"), "MIN:OPT:MAX with 1 <= MIN <= OPT <= MAX"),
        (
            ("half.onnx", "--format", "engine", *rtx, "-o", "half.plan"),
            "half.plan: the artifact's name must end in .engine",
        ),
    ):
        failed = sal_export(*arguments, "--exist-ok", cwd=tmp_path)
        assert failed.returncode == 2, arguments
        assert sentence in flat(failed.stderr), failed.stderr


def test_a_clip_that_cannot_be_read_is_told_before_the_build(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    told: list[str] = []
    options = EngineOptions(parity_source=str(tmp_path / "no.mp4"))
    with pytest.raises(SourceError, match=r"no\.mp4: there is no such file"):
        export_engine(
            tmp_path / "half.onnx", tmp_path / "half.engine", load_library("tensorrt_rtx"), options,
            on_build=lambda phase, done, total: told.append(phase),
        )  # fmt: skip
    assert told == []


def test_an_engine_is_meant_where_its_name_says_so_and_a_look_leaves_nothing(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    done = sal_export("half.onnx", "-o", "other.engine", "--target", "tensorrt-rtx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "other.engine").onnx == "half.onnx"
    before = sorted(tmp_path.iterdir())
    look = sal_export("--inspect", "--target", "tensorrt-rtx", cwd=tmp_path)
    assert look.returncode == 0, look.stderr
    assert "compact-ema-fp32.onnx as tensorrt_rtx reads it" in flat(look.stdout)
    assert sorted(tmp_path.iterdir()) == before


def test_layers_of_a_graph_can_be_printed(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    done = sal_export("half.onnx", "--inspect", "--target", "tensorrt-rtx", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "half.onnx as tensorrt_rtx reads it, not yet fused" in flat(done.stdout)
    assert "uint8" not in done.stdout.split("cast")[1].split("\n")[0]


@pytest.mark.skipif(not (SHARED / "clips").is_dir(), reason="the real clips are not beside this checkout")
def test_resizing_in_the_graph_on_a_real_clip(tmp_path: Path) -> None:
    clip = str(SHARED / "clips" / "dhf1k-0068.avi")
    options = ExportOptions(height=96, width=128, parity_source=clip, parity_frames=12, device_resize=(360, 640))
    manifest, parity = export_onnx(network("compact-ema"), tmp_path / "m.onnx", options)
    assert read_manifest(tmp_path / "m.onnx").frame_size == (360, 640)
    assert (manifest.height, manifest.width, manifest.resizes) == (96, 128, True)
    assert min(parity.cc) > 0.9999
    record, _ = export_engine(tmp_path / "m.onnx", tmp_path / "m.engine", load_library("tensorrt_rtx"), EngineOptions())
    assert record.manifest.resizes
    with pytest.raises(InputError, match="cannot be made small to 256x192"):
        export_onnx(network("compact-ema"), tmp_path / "n.onnx", ExportOptions(device_resize=(100, 640)))
