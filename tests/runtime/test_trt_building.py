"""Engines built by TensorRT for RTX, which needs no GPU for it: what is asked, what is refused, and in which words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.errors import ArtifactError, BackendError, InputError
from sal_runtime.trt.building import build_engine, network_layers
from sal_runtime.trt.library import Library, load_library, plain_words
from sal_runtime.trt.options import BuildOptions, parse_profile, profiles_of
from tiny import ema_manifest, write_ema_artifact

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has wheels for Linux and Windows only")


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library("tensorrt_rtx")


def build(path: Path, library: Library, **asked: object) -> bytes:
    return build_engine(library, path.read_bytes(), read_manifest(path), BuildOptions(**asked))  # type: ignore[arg-type]


def test_an_artifact_becomes_an_engine_and_its_phases_are_told(tmp_path: Path, library: Library) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    told: list[tuple[str, int, int]] = []
    data = (tmp_path / "half.onnx").read_bytes()
    engine = build_engine(library, data, ema_manifest(), on_phase=lambda *phase: told.append(phase))
    assert len(engine) > 1000
    assert told[0][0] == "Building engine"
    assert told[0][1] == 0
    assert any(done == total > 0 for _, done, total in told)


def test_an_open_batch_gets_its_profiles(tmp_path: Path, library: Library) -> None:
    write_ema_artifact(tmp_path / "open.onnx", batch=-1)
    assert build(tmp_path / "open.onnx", library, profiles=((1, 1, 1), (2, 4, 8)))
    manifest = read_manifest(tmp_path / "open.onnx")
    assert profiles_of(manifest, BuildOptions()) == ((1, 1, 8),)
    with pytest.raises(InputError, match="with 1 <= MIN <= OPT <= MAX, not 4:2:8"):
        profiles_of(manifest, BuildOptions(profiles=((4, 2, 8),)))
    with pytest.raises(InputError, match=r"the artifact's batch is 1, so there is no --profile"):
        profiles_of(ema_manifest(), BuildOptions(profiles=((1, 1, 2),)))
    assert parse_profile("1:4:8") == (1, 4, 8)
    with pytest.raises(InputError, match="a profile is MIN:OPT:MAX, such as 1:4:8, not '1:4'"):
        parse_profile("1:4")


@pytest.mark.parametrize(
    "asked", [{"workspace": 64, "level": 1}, {"level": 5, "tf32": True}, {"hardware_compatible": True}]
)
def test_what_a_user_may_ask_is_taken(tmp_path: Path, library: Library, asked: dict[str, object]) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    assert build(tmp_path / "half.onnx", library, **asked)


def test_an_engine_for_later_versions_is_not_to_be_had_from_rtx(tmp_path: Path, library: Library) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    with pytest.raises(InputError, match="TensorRT for RTX makes no engine that other versions load"):
        build(tmp_path / "half.onnx", library, version_compatible=True)


def test_whoever_watches_can_end_a_build(tmp_path: Path, library: Library) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    seen = []

    def impatient(phase: str, done: int, total: int) -> None:
        seen.append(phase)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(library, (tmp_path / "half.onnx").read_bytes(), ema_manifest(), on_phase=impatient)
    assert len(seen) == 1, "nothing is told after the wish to end"


INTERRUPTED = """
import os, signal, sys, threading, time
from pathlib import Path
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.trt.building import build_engine
from sal_runtime.trt.library import load_library

told, number = [], getattr(signal, sys.argv[2])
heard = []
signal.signal(number, lambda number, frame: heard.append(number))

def on_phase(name, done, total):
    told.append(name)
    if stopping and len(told) == 1:
        threading.Timer(0.1, os.kill, (os.getpid(), number)).start()
    time.sleep(0.02)  # a small network is built before a user could press anything

path = Path(sys.argv[1])
for stopping in (False, True):
    told.clear()
    try:
        build_engine(load_library("tensorrt_rtx"), path.read_bytes(), read_manifest(path), on_phase=on_phase)
    except KeyboardInterrupt:
        print("interrupted", end=" ")
    else:
        print("built", end=" ")
    print(len(told), end=" ")
print(heard == [number])
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_a_build_and_reaches_the_programs_own_handler(tmp_path: Path, number: str) -> None:
    """TensorRT's bindings print and drop what is raised within their callbacks, and where a signal lands is chance."""
    write_ema_artifact(tmp_path / "half.onnx")
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path / "half.onnx"), number]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    first, whole, second, part, heard = done.stdout.split()
    assert (first, second, heard) == ("built", "interrupted", "True")
    assert int(part) < int(whole) / 2, "it ended with its present step"
    assert "Exception caught" not in done.stderr


def write_faulty(path: Path, *nodes: onnx.NodeProto, constants: tuple[onnx.TensorProto, ...] = ()) -> Path:
    """The tiny artifact with a branch that TensorRT cannot take, in front of the map."""
    write_ema_artifact(path)
    model = onnx.load(path)
    for node in model.graph.node:
        if node.output[0] == "seen":
            node.input[0] = "faulty"
    at = next(i for i, node in enumerate(model.graph.node) if node.output[0] == "seen")
    for node in reversed(nodes):
        model.graph.node.insert(at, node)
    model.graph.initializer.extend(constants)
    onnx.save(model, str(path))
    return path


def test_an_unknown_operator_is_named_with_its_layer(tmp_path: Path, library: Library) -> None:
    path = write_faulty(tmp_path / "m.onnx", helper.make_node("Sharpen", ["grey"], ["faulty"], name="edge_layer"))
    sentence = r"tensorrt_rtx 1\.\S+ refuses layer 'edge_layer' \(Sharpen\): it does not know this operator$"
    with pytest.raises(BackendError, match=sentence):
        build(path, library)


def test_mixed_types_are_named_with_their_layer(tmp_path: Path, library: Library) -> None:
    half = helper.make_node("Cast", ["grey"], ["half"], to=TensorProto.FLOAT16, name="to_half")
    path = write_faulty(tmp_path / "m.onnx", half, helper.make_node("Add", ["grey", "half"], ["faulty"], name="mixed"))
    with pytest.raises(
        BackendError, match=r"refuses layer 'mixed' \(Add\): .*must have same input types.*Float and Half"
    ):
        build(path, library)


def test_int8_for_a_cpu_is_refused_with_the_remedy(tmp_path: Path, library: Library) -> None:
    grid = ["scale8", "zero8"]
    path = write_faulty(
        tmp_path / "m.onnx",
        helper.make_node("QuantizeLinear", ["grey", *grid], ["q"], name="pair"),
        helper.make_node("DequantizeLinear", ["q", *grid], ["faulty"]),
        constants=(
            numpy_helper.from_array(np.array(0.1, np.float32), "scale8"),
            numpy_helper.from_array(np.array(3, np.uint8), "zero8"),
        ),
    )
    with pytest.raises(BackendError, match="quantised for a CPU; sal-export --precision int8 --target tensorrt"):
        build(path, library)


def test_tensors_that_the_manifest_does_not_know_are_refused(tmp_path: Path, library: Library) -> None:
    write_ema_artifact(tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    del model.metadata_props[:]
    with pytest.raises(ArtifactError, match=r"input 'frame' is .*16, 32, 3\] in the graph, the manifest says"):
        build_engine(library, model.SerializeToString(), ema_manifest(height=32))


def test_layers_can_be_seen_without_a_gpu(tmp_path: Path, library: Library) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    layers = network_layers(library, (tmp_path / "half.onnx").read_bytes())
    assert len(layers) >= 8
    assert any(layer.kind == "cast" and layer.output == "float32[1, 16, 32, 3]" for layer in layers)
    assert any("reduce" in layer.kind for layer in layers)


def test_messages_lose_what_only_their_authors_can_use() -> None:
    assert (
        plain_words(
            "ITensor::getDimensions: Error Code 4: API Usage Error (conv: `input` is Float but `kernel` is Half. In "
            "validateTypes at /_src/optimizer/nodes/convolutionNode.cpp:88)"
        )
        == "conv: `input` is Float but `kernel` is Half"
    )
