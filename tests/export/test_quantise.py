"""int8: what is quantised and what is not, along which way it was calibrated, and that the maps stay what they were."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from sal_export.fold_choice import choose_fold
from sal_export.hoist import MOVES, hoist_quantisation
from sal_export.options import ExportOptions, FoldForm
from sal_export.parity import check_parity, parity_frames
from sal_export.pipeline import export_onnx
from sal_export.trajectories import choose_steps, clips_of, replay
from sal_runtime import Engine
from sal_runtime.backends.measured import Row
from sal_runtime.errors import InputError, ParityError, SourceError
from sal_train.models import RecurrentNetwork, build_network, named_config
from sal_train.models.recurrence import ConvLSTM
from sal_train.torch_backend import TorchBackend
from tiny import SHARED, write_clip, write_ema_artifact

SMALL = ExportOptions("int8", 32, 48, parity_frames=12, calib_frames=12, fold="shuffle")


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sal_export.trajectories.REPLAYED", 30)


def small(name: str, width: float = 0.05) -> RecurrentNetwork:
    """A narrow network that blurs: every convolution is a weighted mean, so that the map is about the picture.

    With random weights of both signs a narrow network's map is noise about a constant, and correlates with nothing.
    """
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(named_config(name), width=width)).eval()
    convolutions: list[torch.nn.Conv2d] = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    for conv in convolutions:
        conv.weight.data = conv.weight.data.abs() / conv.weight.data.abs().sum(dim=(1, 2, 3), keepdim=True)
    for module in network.modules():
        if isinstance(module, ConvLSTM):
            module.gates.weight.data /= 64.0
    for conv, bias in ((convolutions[0], 128.0), (convolutions[-1], -1.0)):
        conv.bias = torch.nn.Parameter(torch.full((conv.out_channels,), bias))
    convolutions[-1].weight.data *= 1.0 if "clstm" in name else 1.0 / 64.0
    return network


def consumers(graph: onnx.GraphProto, tensor: str) -> list[onnx.NodeProto]:
    return [node for node in graph.node if tensor in node.input]


def assert_only_what_enters_convolutions_is_quantised(graph: onnx.GraphProto) -> None:
    """Every quantised value is dequantised for convolutions, or for what moves it on to the next pair.

    No state comes from or goes to a pair.
    """
    for node in graph.node:
        if node.op_type == "QuantizeLinear":
            (back,) = consumers(graph, node.output[0])
            assert back.op_type == "DequantizeLinear"
        if node.op_type == "DequantizeLinear":
            for reader in consumers(graph, node.output[0]):
                if reader.op_type not in ("Conv", "ConvTranspose"):
                    assert reader.op_type in MOVES
                    assert [n.op_type for n in consumers(graph, reader.output[0])] == ["QuantizeLinear"]
    produced = {name: node.op_type for node in graph.node for name in node.output}
    assert {produced[o.name] for o in graph.output}.isdisjoint({"QuantizeLinear", "DequantizeLinear"})
    for given in graph.input:
        assert "QuantizeLinear" not in {n.op_type for n in consumers(graph, given.name)}


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("salema30", "cpu"),
        ("salema30", "tensorrt"),
        ("salema7-54", "cpu"),
        ("salema61", "tensorrt"),
        ("salclstm30-peephole", "cpu"),
        ("compact-ema", "tensorrt"),
    ],
)
def test_convolutions_only_and_the_recurrence_in_float(tmp_path: Path, name: str, target: str) -> None:
    size = dataclasses.replace(SMALL, height=64, width=64) if name.startswith("compact") else SMALL
    manifest, parity = export_onnx(small(name), tmp_path / "m.onnx", dataclasses.replace(size, target=target))
    assert min(parity.cc) >= 0.99
    assert manifest.precision == "int8"
    assert parity.backend.startswith("onnxruntime")
    graph = onnx.load(tmp_path / "m.onnx").graph
    assert_only_what_enters_convolutions_is_quantised(graph)
    convolutions = [n for n in graph.node if n.op_type in ("Conv", "ConvTranspose")]
    produced = {name: node for node in graph.node for name in node.output}
    assert all(produced[n.input[0]].op_type == "DequantizeLinear" for n in convolutions)

    constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    points = [constants[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear"]
    scales = [constants[produced[n.input[1]].input[1]] for n in convolutions]
    assert [s.shape for s in scales] == [(constants[produced[n.input[1]].input[0]].shape[0],) for n in convolutions]
    biases = {produced[b].op_type if b in produced else "float" for n in convolutions for b in n.input[2:]}
    if target == "tensorrt":
        assert {(p.dtype.name, int(p)) for p in points} == {("int8", 0)}
        assert biases == {"float"}
    else:
        assert {p.dtype.name for p in points} == {"uint8"}
        assert biases == {"DequantizeLinear"}
    assert {t.type.tensor_type.elem_type for t in graph.output} == {onnx.TensorProto.FLOAT}


def test_fp8_is_a_grid_of_e4m3_at_the_same_places(tmp_path: Path) -> None:
    options = dataclasses.replace(SMALL, precision="fp8", target="tensorrt")
    manifest, parity = export_onnx(small("salema30"), tmp_path / "m.onnx", options)
    assert min(parity.cc) >= 0.99
    assert manifest.provenance["quantisation"]["weights"] == "float8 e4m3, symmetric, per channel"
    model = onnx.load(tmp_path / "m.onnx")
    assert model.opset_import[0].version == 19
    assert_only_what_enters_convolutions_is_quantised(model.graph)
    kinds = {entry.name: entry.data_type for entry in model.graph.initializer}
    grids = {kinds[node.input[2]] for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert grids == {onnx.TensorProto.FLOAT8E4M3FN}
    weights = [n.input[0] for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in kinds]
    assert {kinds[name] for name in weights} == grids
    with pytest.raises(InputError, match="fp8 is for TensorRT on a GPU that has it: --target tensorrt"):
        export_onnx(small("salema30"), tmp_path / "n.onnx", dataclasses.replace(options, target="cpu"))


@pytest.mark.parametrize(("mode", "added"), [("nearest", 1), ("linear", 0)])
def test_only_what_takes_values_as_they_are_is_quantised_earlier(mode: str, added: int) -> None:
    grid = [
        numpy_helper.from_array(np.array(0.1, np.float32), "s"),
        numpy_helper.from_array(np.array(0, np.uint8), "z"),
    ]
    scales = numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")
    nodes = [
        helper.make_node("Neg", ["x"], ["above"]),
        helper.make_node("Resize", ["above", "", "scales"], ["grown"], mode=mode),
        helper.make_node("QuantizeLinear", ["grown", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in "xy"]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], [*grid, scales])
    assert hoist_quantisation(graph) == added


@pytest.mark.parametrize("fold", ["none", "shuffle", "phases"])
def test_quantising_earlier_changes_no_value(tmp_path: Path, fold: FoldForm, monkeypatch: pytest.MonkeyPatch) -> None:
    options = dataclasses.replace(SMALL, fold=fold)
    export_onnx(small("salema30"), tmp_path / "early.onnx", options)
    monkeypatch.setattr("sal_export.quantise.hoist_quantisation", lambda graph: 0)
    export_onnx(small("salema30"), tmp_path / "late.onnx", options)
    pairs, maps = [], []
    for name in ("early.onnx", "late.onnx"):
        graph = onnx.load(tmp_path / name).graph
        pairs.append(sum(node.op_type == "QuantizeLinear" for node in graph.node))
        with Engine.open(tmp_path / name, backend="onnxruntime") as engine:
            stream = engine.stream()
            maps.append([stream.step(frame) for frame in parity_frames("demo", 6, 32, 48)])
    assert pairs[0] > pairs[1]
    # A fused convolution may round a tie to the other side: one step of eight bits in a few values, not more.
    np.testing.assert_allclose(maps[0], maps[1], atol=1e-4)


def test_the_manifest_tells_no_folder_of_the_disk_it_was_made_on(tmp_path: Path) -> None:
    clip = str(write_clip(tmp_path / "clip.avi", frames=12))
    options = dataclasses.replace(SMALL, calib=clip, parity_source=clip)
    manifest, _ = export_onnx(small("salema30"), tmp_path / "m.onnx", options)
    assert manifest.parity is not None
    assert manifest.parity["source"] == "clip.avi"
    assert manifest.provenance["quantisation"]["calibration"]["source"] == "clip.avi, mirrored"
    assert str(tmp_path) not in manifest.to_json()


def test_the_manifest_tells_how_and_on_what(tmp_path: Path) -> None:
    manifest, _ = export_onnx(small("salema30"), tmp_path / "m.onnx", SMALL)
    told = Engine.open(tmp_path / "m.onnx", backend="onnxruntime").manifest.provenance["quantisation"]
    assert told == manifest.provenance["quantisation"]
    assert (told["target"], told["activations"], told["float_layers"]) == ("cpu", "uint8, asymmetric", [])
    assert told["calibration"]["source"] == "demo, mirrored", "no frame is both calibrated on and checked"
    assert told["calibration"]["frames"] == 12
    assert told["calibration"]["frames_that_start_anew"] == 3
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_openvino_reads_the_same_artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    network = small("salclstm30")
    export_onnx(network, tmp_path / "m.onnx", dataclasses.replace(SMALL, fold="transposed"))
    parity = check_parity(
        TorchBackend(network, 32, 48),
        tmp_path / "m.onnx",
        parity_frames("demo", 12, 32, 48),
        "demo",
        backend="openvino",
    )
    assert parity.fault() is None
    assert parity.backend.startswith("openvino")


def test_layers_can_be_left_in_float(tmp_path: Path) -> None:
    options = dataclasses.replace(SMALL, quant_exclude=("salgan.60", "salgan.0."))
    manifest, _ = export_onnx(small("salema30"), tmp_path / "m.onnx", options)
    graph = onnx.load(tmp_path / "m.onnx").graph
    floats = [n.input[1] for n in graph.node if n.op_type == "Conv" and n.input[1].endswith("weight")]
    assert floats == ["network.salgan.0.weight", "network.salgan.60.weight"]
    assert manifest.provenance["quantisation"]["float_layers"] == ["salgan.60", "salgan.0."]
    with pytest.raises(InputError, match=r"no convolution's name has 'salgan\.99' in it; they are network\.salgan\.0"):
        export_onnx(small("salema30"), tmp_path / "n.onnx", dataclasses.replace(SMALL, quant_exclude=("salgan.99",)))
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_a_batch_of_fixed_size(tmp_path: Path) -> None:
    options = dataclasses.replace(SMALL, batch=2, parity_frames=4)
    manifest, parity = export_onnx(small("salema30"), tmp_path / "m.onnx", options)
    assert manifest.batch == 2
    assert min(parity.cc) >= 0.99


def test_steps_are_chosen_by_the_rule() -> None:
    carries = [0.0, *[0.9] * 9, 0.0, *[0.9] * 9]
    assert sorted(choose_steps(carries, 8)) == [0, 1, 2, 6, 10, 11, 12, 16]
    assert sorted(choose_steps(carries, 100)) == list(range(20))
    assert sorted(choose_steps([0.0] * 20, 4)) == [0, 5, 10, 15], "all start anew"
    assert sorted(choose_steps(carries, 1)) == [0]


def test_the_replay_is_a_trajectory(tmp_path: Path) -> None:
    """On the artifact worked out by hand: a kept step's state is what the steps before it made."""
    write_ema_artifact(tmp_path / "m.onnx", alpha=0.5)
    clip = write_clip(tmp_path / "clip.avi", frames=30)
    seen = replay(tmp_path / "m.onnx", str(clip), kept=30)
    assert len(seen.inputs) == 30
    kept = 0.0
    for given in seen.inputs:
        state, carry = float(given["memory"].mean()), float(given["carry"][0, 0])
        assert state == pytest.approx(kept, abs=1e-5)
        kept = (1 - carry) * float(given["frame"].mean()) / 255 + carry * state
    assert seen.restarts >= 3, "the schedule's, and the cut where brightness wraps"
    with pytest.raises(InputError, match="calibration needs at least one frame"):
        replay(tmp_path / "m.onnx", str(clip), kept=0)
    with pytest.raises(SourceError, match="there is no such file"):
        replay(tmp_path / "m.onnx", str(tmp_path / "absent.mp4"))


def test_a_folder_of_videos_is_all_of_them(tmp_path: Path) -> None:
    paths = [write_clip(tmp_path / name) for name in ("b.avi", "a.avi")]
    assert clips_of(str(tmp_path)) == sorted(map(str, paths))
    assert clips_of(str(paths[0])) == [str(paths[0])]
    assert clips_of("demo") == ["demo"]


def test_what_fails_the_check_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sal_export.parity._correlation", lambda a, b: 0.5)
    with pytest.raises(ParityError, match="nothing was written"):
        export_onnx(small("salema30"), tmp_path / "m.onnx", SMALL)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="there is no target 'toaster'; choose from cpu, onnxruntime"):
        export_onnx(small("salema30"), tmp_path / "m.onnx", dataclasses.replace(SMALL, target="toaster"))


def test_the_fold_is_chosen_by_measurement(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = "x86 avx512-bf16"
    table = (
        Row(here, "salgan", "int8", "none", "openvino", 47.0, 0.1),
        Row(here, "salgan", "int8", "transposed", "openvino", 40.0, 0.1),
        Row(here, "salgan", "int8", "shuffle", "onnxruntime", 50.0, 0.1),
        Row(here, "salgan", "int8", "transposed", "onnxruntime", 90.0, 0.1),
        Row(here, "salgan", "bf16", "phases", "openvino", 70.0, 0.1),
    )
    monkeypatch.setattr("sal_runtime.backends.measured.rows", lambda: table)
    assert choose_fold("salgan", "int8", "cpu", here) == (
        "transposed",
        "measured 40 ms against 47 unfolded in openvino int8 on x86 avx512-bf16",
    )
    assert choose_fold("salgan", "int8", "onnxruntime", here)[0] == "shuffle"
    assert choose_fold("salgan", "fp32", "openvino-bf16", here)[0] == "phases"
    assert choose_fold("salgan", "int8", "tensorrt", here) == ("shuffle", "not measured in TensorRT")
    assert choose_fold("salgan", "fp32", "cpu", "aarch64") == (
        "transposed",
        "salgan in fp32 was not measured on aarch64",
    )
    options = dataclasses.replace(SMALL, fold="auto", precision="fp32", height=64, parity_frames=2)
    manifest, _ = export_onnx(small("compact-ema"), tmp_path / "m.onnx", options)
    assert manifest.provenance["fold"] == "none"
    assert manifest.provenance["fold_reason"] == "there is nothing to fold"


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not beside this checkout")
def test_calibrated_on_one_clip_and_checked_on_another(tmp_path: Path) -> None:
    clips = SHARED / "clips"
    options = dataclasses.replace(
        SMALL, calib=str(clips / "car-detection.mp4"), parity_source=str(clips / "dhf1k-0068.avi"), height=96, width=128
    )
    manifest, parity = export_onnx(small("salema30"), tmp_path / "m.onnx", options)
    assert min(parity.cc) >= 0.99
    assert not manifest.provenance["quantisation"]["calibration"]["source"].endswith("mirrored")
    assert np.isfinite(parity.state).all()


def test_random_weights_in_int8_are_made_for_timing_and_held_to_nothing(tmp_path: Path) -> None:
    torch.manual_seed(0)
    noise = build_network(dataclasses.replace(named_config("salclstm30"), width=0.05)).eval()
    with pytest.raises(ParityError, match=r"m\.onnx does not compute what its network computes"):
        export_onnx(noise, tmp_path / "m.onnx", SMALL)
    _, parity = export_onnx(noise, tmp_path / "m.onnx", SMALL, {"random_weights": True})
    assert min(parity.cc) < 0.99
    assert parity.fault() is None
