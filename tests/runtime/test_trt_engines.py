"""Engines as files: their record, what is refused because of it, and the cache."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from sal_runtime import Engine
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.errors import ArtifactError, BackendError, OutputError
from sal_runtime.gpu import Gpu
from sal_runtime.trt.building import build_engine
from sal_runtime.trt.library import Library, load_library
from sal_runtime.trt.making import cached_engine, make_engine
from sal_runtime.trt.options import BuildOptions
from sal_runtime.trt.sidecar import EngineRecord, digest, read_record, record_path, verify
from tiny import write_ema_artifact

pytest.importorskip("tensorrt_rtx", reason="TensorRT for RTX has wheels for Linux and Windows only")

ORIN = Gpu("Orin", "8.7", "12.6")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def library() -> Library:
    return load_library("tensorrt_rtx")


@pytest.fixture
def engine(tmp_path: Path, library: Library) -> Path:
    write_ema_artifact(tmp_path / "half.onnx")
    make_engine(tmp_path / "half.onnx", tmp_path / "half.engine", library, None, BuildOptions(workspace=64))
    return tmp_path / "half.engine"


def check(engine: Path, library: Library, gpu: Gpu | None = None, record: EngineRecord | None = None) -> None:
    verify(record or read_record(engine), engine, engine.read_bytes(), library, gpu)


def jetson(record: EngineRecord, **changes: object) -> EngineRecord:
    """The record as TensorRT on an Orin would have written it."""
    own = {"library": "tensorrt", "library_version": "10.3.0", "gpu": dataclasses.asdict(ORIN), **changes}
    return dataclasses.replace(record, **own)  # type: ignore[arg-type]


TENSORRT = Library(None, "tensorrt", "10.3.0")


def test_an_engine_and_its_record_lie_side_by_side(engine: Path, library: Library) -> None:
    assert sorted(p.name for p in engine.parent.glob("half*")) == ["half.engine", "half.engine.json", "half.onnx"]
    record = read_record(engine)
    assert (record.onnx, record.library, record.library_version) == ("half.onnx", "tensorrt_rtx", library.version)
    assert record.manifest.alpha == 0.5
    assert record.gpu is None
    assert record.options.workspace == 64
    assert EngineRecord.from_json(record.to_json(), "again") == record
    check(engine, library)


def test_the_command_that_builds_it_again(engine: Path) -> None:
    record = read_record(engine)
    onnx = engine.with_suffix(".onnx")
    assert record.rebuild(engine) == (
        f"sal-export {onnx} --format engine --target tensorrt-rtx --workspace 64 -o {engine} --exist-ok"
    )
    options = BuildOptions(None, 5, ((1, 2, 4),), True, True, True)
    assert jetson(record, options=options).rebuild(engine.with_name("a b.engine")) == (
        f"sal-export {onnx} --format engine --opt-level 5 --profile 1:2:4 --version-compatible "
        f"--hardware-compatible --tf32 -o '{engine.with_name('a b.engine')}' --exist-ok"
    )
    second = dataclasses.replace(record, made_by=("sal-export", "half.onnx", "--device", "cuda:1", "--tf32"))
    assert second.rebuild(engine).endswith(f"--workspace 64 --device cuda:1 -o {engine} --exist-ok")
    onnx.unlink()
    elsewhere = dataclasses.replace(record, made_by=("sal-export", "w.pt", "--config", "salema30"))
    assert elsewhere.rebuild(Path("m.engine")) == "sal-export w.pt --config salema30 -o m.engine --exist-ok"


def test_another_engine_than_the_records_is_refused(engine: Path, library: Library) -> None:
    data = bytearray(engine.read_bytes())
    data[100] ^= 1
    engine.write_bytes(data)
    with pytest.raises(
        ArtifactError, match=r"is not the engine that its record speaks of .*; build it again: sal-export"
    ):
        check(engine, library)


def test_another_artifact_beside_it_is_noticed(engine: Path, library: Library) -> None:
    write_ema_artifact(engine.with_suffix(".onnx"), alpha=0.25)
    with pytest.raises(
        ArtifactError, match=r"was built from another half\.onnx than the one beside it; build it again"
    ):
        check(engine, library)
    engine.with_suffix(".onnx").unlink()
    check(engine, library)


def test_another_tensorrt_is_refused_and_a_later_one_taken_where_it_was_asked_for(engine: Path) -> None:
    record = jetson(read_record(engine))
    check(engine, TENSORRT, ORIN, record)
    later = Library(None, "tensorrt", "10.16.1")
    with pytest.raises(
        BackendError, match=r"was built by tensorrt 10\.3\.0, here is tensorrt 10\.16\.1; build it again"
    ):
        check(engine, later, ORIN, record)
    compatible = dataclasses.replace(record, options=BuildOptions(version_compatible=True))
    check(engine, later, ORIN, compatible)
    for other in (Library(None, "tensorrt", "10.2.0"), Library(None, "tensorrt_rtx", "1.7.1")):
        with pytest.raises(BackendError, match=r"was built by tensorrt 10\.3\.0"):
            check(engine, other, ORIN, compatible)


def test_another_gpu_is_refused_unless_it_was_asked_for(engine: Path) -> None:
    record = jetson(read_record(engine))
    card = Gpu("NVIDIA GeForce RTX 4070", "8.9", "13.0")
    sentence = (
        r"was built for Orin \(compute capability 8\.7\), here is NVIDIA GeForce RTX 4070 \(8\.9\); build it again: "
    )
    with pytest.raises(BackendError, match=sentence):
        check(engine, TENSORRT, card, record)
    check(engine, TENSORRT, card, dataclasses.replace(record, options=BuildOptions(hardware_compatible=True)))


def test_records_that_cannot_be_read(engine: Path) -> None:
    path = record_path(engine)
    whole = json.loads(path.read_text(encoding="utf-8"))
    for text, sentence in (
        ("{", "not the record of an engine of sal-edge"),
        (json.dumps({**whole, "sal_edge_engine": 9}), "record version 9 is not 1"),
        (json.dumps({k: v for k, v in whole.items() if k != "onnx"}), "lacks or mistakes a field"),
        (json.dumps({**whole, "library": "trtx"}), r"lacks or mistakes a field \(there is no library 'trtx'\)"),
        (json.dumps({**whole, "library": None}), "there is no library None"),
        (json.dumps({**whole, "onnx": "../half.onnx"}), r"'\.\./half\.onnx' is no file name"),
        (json.dumps({**whole, "gpu": {"name": "Orin"}}), "the GPU is not described"),
        (json.dumps({**whole, "engine_sha256": 7}), "7 is no text"),
        (json.dumps({**whole, "made_by": ["rm", "-rf", "/"]}), "it is another command that made it"),
        (json.dumps({**whole, "made_by": "sal-export"}), "the command is no list of words"),
        (json.dumps({**whole, "manifest": {**whole["manifest"], "version": 7}}), "manifest version 7 is not 1"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(ArtifactError, match=sentence):
            read_record(engine)
    path.unlink()
    with pytest.raises(ArtifactError, match=r"needs its record half\.engine\.json beside it; copy both"):
        Engine.open(engine)


def test_nothing_is_replaced_unasked(engine: Path, library: Library) -> None:
    before = engine.read_bytes()
    with pytest.raises(OutputError, match=r"half\.engine exists and is kept"):
        make_engine(engine.with_suffix(".onnx"), engine, library, None)
    assert engine.read_bytes() == before


def test_an_engine_is_built_into_the_cache_once(tmp_path: Path, library: Library, cache: Path) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    first, built = cached_engine(tmp_path / "half.onnx", library, ORIN)
    assert built
    assert first.parent == cache / "sal-edge" / "engines"
    assert cached_engine(tmp_path / "half.onnx", library, ORIN) == (first, False)
    others = [
        cached_engine(tmp_path / "half.onnx", library, Gpu("Thor", "11.0", "13.0")),
        cached_engine(tmp_path / "half.onnx", library, ORIN, BuildOptions(workspace=64)),
    ]
    write_ema_artifact(tmp_path / "half.onnx", alpha=0.25)
    others.append(cached_engine(tmp_path / "half.onnx", library, ORIN))
    assert len({first, *(path for path, _ in others)}) == 4
    assert all(new for _, new in others)
    first.write_bytes(b"cut off")
    write_ema_artifact(tmp_path / "half.onnx")
    assert cached_engine(tmp_path / "half.onnx", library, ORIN) == (first, True), "what is damaged is built again"


BUILDER = """
import sys
from pathlib import Path
from sal_runtime.gpu import Gpu
from sal_runtime.trt.library import load_library
from sal_runtime.trt.making import cached_engine

print(cached_engine(Path("half.onnx"), load_library("tensorrt_rtx"), Gpu("Orin", "8.7", "12.6"))[1])
"""


def test_of_two_that_start_at_once_one_builds(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    started = [
        subprocess.Popen([sys.executable, "-c", BUILDER], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert sorted(process.communicate(timeout=120)[0].strip() for process in started) == ["False", "True"]


def test_an_engine_for_turing_is_built_for_it_alone(tmp_path: Path, library: Library) -> None:
    write_ema_artifact(tmp_path / "half.onnx")
    data, manifest = (tmp_path / "half.onnx").read_bytes(), read_manifest(tmp_path / "half.onnx")
    turing, ada, any_card = (
        digest(build_engine(library, data, manifest, gpu=Gpu("a card", capability, "13.0") if capability else None))
        for capability in ("7.5", "8.9", None)
    )
    assert ada == any_card
    assert turing != ada
