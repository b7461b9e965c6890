"""OpenVINO behind the same protocol as ONNX Runtime: the same values worked out on paper, through both."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from sal_runtime import Engine
from sal_runtime.arrays import Floats
from sal_runtime.backends import Options, open_backend
from sal_runtime.backends.choice import Choice, choose, choose_measured
from sal_runtime.backends.measured import Row, processor_kind, rows_for
from sal_runtime.backends.onnx_metadata import read_manifest, read_metadata
from sal_runtime.errors import ArtifactError, BackendError, InputError
from sal_runtime.manifest import METADATA_KEY
from tiny import grey, write_ema_artifact

pytest.importorskip("openvino")

BACKENDS = ("onnxruntime", "openvino")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_ema_artifact(tmp_path / "half.onnx", alpha=0.5)
    return tmp_path / "half.onnx"


def has_bf16() -> bool:
    return processor_kind() in ("x86 amx", "x86 avx512-bf16")


@pytest.mark.parametrize("backend", BACKENDS)
def test_equation_6(artifact: Path, backend: str) -> None:
    session = Engine.open(artifact, backend=backend, threads=1).stream()
    maps = [session.step(grey(v)) for v in (0, 255, 255, 0)]
    assert [float(m[0, 0]) for m in maps] == pytest.approx([0.0, 0.5, 0.75, 0.375])
    assert all(np.ptp(m) == 0.0 for m in maps)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_map_is_the_callers_and_a_stream_owns_its_state(artifact: Path, backend: str) -> None:
    engine = Engine.open(artifact, backend=backend)
    left, right = engine.stream(), engine.stream()
    first, other = left.step(grey(255)), right.step(grey(0))
    again = left.step(grey(255))
    right.step(grey(255))
    assert [float(m[0, 0]) for m in (first, other, again)] == [1.0, 0.0, 1.0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_slots_of_an_open_batch(tmp_path: Path, backend: str) -> None:
    write_ema_artifact(tmp_path / "any.onnx", alpha=0.5, batch=-1)
    engine = Engine.open(tmp_path / "any.onnx", backend=backend)
    three, one = engine.stream(batch=3), engine.stream()
    three.step_batch([grey(255), grey(0), grey(255)])
    three.reset(slot=2)
    maps = three.step_batch([grey(0), grey(255), grey(0)])
    assert maps[:, 0, 0].tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert float(one.step(grey(255))[0, 0]) == 1.0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_snapshot_goes_on_to_the_bit(artifact: Path, backend: str) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (7, 16, 32, 3), np.uint8)
    session = Engine.open(artifact, backend=backend).stream()
    for frame in frames[:3]:
        session.step(frame)
    kept = session.snapshot()
    through = [session.step(frame) for frame in frames[3:]]
    session.restore(kept)
    assert np.array_equal(through, [session.step(frame) for frame in frames[3:]])
    other = Engine.open(artifact, backend="onnxruntime").stream()
    other.restore(kept)
    assert np.allclose(through, [other.step(frame) for frame in frames[3:]], atol=1e-6), "an engine may be changed"


def test_the_state_is_the_callers(artifact: Path) -> None:
    stream = open_backend(artifact, "openvino").stream(1)
    one: Floats = np.ones((1, 1), np.float32)
    stream.restore([np.full((1, 1, 16, 32), 0.625, np.float32)])
    before = stream.snapshot()
    stream.step(grey(0)[None], one)
    assert np.array_equal(before, stream.snapshot()), "carry 1 keeps the state"
    stream.step(grey(0)[None], 0 * one)
    assert float(before[0].max()) == 0.625
    stream.close()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "not an ONNX model, or damaged; is it whole?"),
        (b"not a model at all", "not an ONNX model, or damaged"),
        (None, "not an ONNX model, or damaged"),
    ],
)
def test_a_damaged_file(artifact: Path, content: bytes | None, sentence: str) -> None:
    whole = artifact.read_bytes()
    artifact.write_bytes(whole[: len(whole) // 2] if content is None else content)
    for backend in ("openvino", "auto"):
        with pytest.raises(ArtifactError, match=sentence):
            Engine.open(artifact, backend=backend)


def test_a_manifest_that_the_graph_contradicts(tmp_path: Path) -> None:
    told = write_ema_artifact(tmp_path / "a.onnx", size=(16, 48))
    write_ema_artifact(tmp_path / "b.onnx", size=(16, 32), manifest=told.to_json())
    with pytest.raises(ArtifactError, match=r"input 'frame' is uint8\[1, 16, 32, 3\] in the graph, the manifest says"):
        Engine.open(tmp_path / "b.onnx", backend="openvino")
    write_ema_artifact(tmp_path / "c.onnx", manifest=None)
    with pytest.raises(ArtifactError, match="without a sal-edge manifest"):
        Engine.open(tmp_path / "c.onnx", backend="openvino")


def test_a_graph_that_openvino_cannot_read(artifact: Path) -> None:
    model = onnx.load(artifact)
    model.graph.node[-1].op_type = "Unheard"
    onnx.save(model, str(artifact))
    with pytest.raises(ArtifactError, match="OpenVINO cannot open it"):
        Engine.open(artifact, backend="openvino")


def test_a_step_that_fails_is_a_backend_error(artifact: Path) -> None:
    stream = open_backend(artifact, "openvino").stream(1)
    stream._request = _Broken()  # type: ignore[attr-defined]
    with pytest.raises(BackendError, match="openvino failed in a step: out of luck"):
        stream.step(grey(0)[None], np.zeros((1, 1), np.float32))


class _Broken:
    def set_tensor(self, name: str, tensor: object) -> None:
        raise RuntimeError("Exception from core.cpp:12:\nout of luck\n\n")


def test_options(artifact: Path) -> None:
    for options, sentence in (
        ({"precision": "f8"}, "there is no precision 'f8'; choose from auto, f32, bf16"),
        ({"hint": "speed"}, "there is no hint 'speed'; choose from latency, throughput"),
        ({"device": "cuda", "backend": "openvino"}, "the openvino backend runs on the cpu, not on 'cuda'"),
        ({"precision": "bf16", "backend": "onnxruntime"}, "has no bf16; --backend openvino has it"),
    ):
        with pytest.raises(InputError, match=sentence):
            Engine.open(artifact, **options)  # type: ignore[arg-type]
    engine = Engine.open(artifact, backend="openvino", hint="throughput", precision="f32")
    assert engine.name.startswith("openvino 20")
    assert not engine.name.endswith("bf16")
    assert float(engine.stream().step(grey(255))[0, 0]) == 1.0


def test_bf16_is_taken_only_where_asked_for_and_present(artifact: Path) -> None:
    if not has_bf16():
        with pytest.raises(InputError, match="this processor has no bf16 arithmetic; leave out --precision bf16"):
            Engine.open(artifact, precision="bf16")
        return
    engine = Engine.open(artifact, precision="bf16")
    assert engine.name.endswith("cpu bf16")
    assert engine.why == "it has bf16"
    state: Floats = np.random.default_rng(0).random((1, 1, 16, 32), np.float32)
    stream = open_backend(artifact, "openvino", Options(precision="bf16")).stream(1)
    stream.restore([state])
    stream.step(grey(0)[None], np.ones((1, 1), np.float32))
    assert np.array_equal(stream.snapshot()[0], state), "the state and its arithmetic stay float32"


def test_the_compiled_model_is_kept(artifact: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Engine.open(artifact, backend="openvino")
    kept = list((cache / "sal-edge" / "openvino").iterdir())
    assert kept
    kept[0].chmod(0o600)
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    assert float(Engine.open(artifact, backend="openvino").stream().step(grey(255))[0, 0]) == 1.0
    monkeypatch.setenv("XDG_CACHE_HOME", str(artifact))  # a file: no folder can be made in it
    assert float(Engine.open(artifact, backend="openvino").stream().step(grey(255))[0, 0]) == 1.0


def test_metadata_is_read_as_onnx_reads_it(artifact: Path, tmp_path: Path) -> None:
    model = onnx.load(artifact)
    onnx.helper.set_model_props(model, {**{p.key: p.value for p in model.metadata_props}, "empty": "", "é": "x" * 300})
    onnx.save(model, str(tmp_path / "more.onnx"))
    found = read_metadata(tmp_path / "more.onnx")
    assert found == {p.key: p.value for p in model.metadata_props}
    assert read_manifest(artifact) == Engine.open(artifact).manifest
    assert found[METADATA_KEY] == read_manifest(artifact).to_json()
    with pytest.raises(ArtifactError, match="cannot be read"):
        read_metadata(tmp_path)


ROWS = (
    Row("x86 avx512-bf16", "salgan", "int8", "transposed", "onnxruntime", 57.0, 0.1),
    Row("x86 avx512-bf16", "salgan", "int8", "none", "openvino", 47.0, 0.1),
    Row("x86 avx512-bf16", "salgan", "int8", "transposed", "openvino", 40.0, 0.1),
    Row("x86 avx512-bf16", "compact", "fp32", "none", "onnxruntime", 2.0, 0.1),
    Row("x86 avx512-bf16", "compact", "fp32", "none", "openvino", 3.0, 0.1),
)


def test_auto_picks_by_measurement_and_says_why(artifact: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sal_runtime.backends.measured.rows", lambda: ROWS)
    both, here = ["onnxruntime", "openvino"], "x86 avx512-bf16"
    assert choose_measured("salgan", "int8", both, here) == Choice(
        "openvino", "40 ms a frame against 57 with onnxruntime in our table (x86 avx512-bf16)"
    )
    assert choose_measured("compact", "fp32", both, here).backend == "onnxruntime"
    alone = choose_measured("salgan", "int8", ["onnxruntime"], here)
    assert alone.backend == "onnxruntime"
    assert alone.why.endswith("; faster: pip install 'sal-edge[openvino]'")
    near = choose_measured("salgan", "int8", both, "x86 avx2")
    assert near.why.endswith("in our table (x86 avx512-bf16; a x86 avx2 was not measured)")
    assert choose_measured("salgan", "int8", both, "aarch64").why.endswith("salgan in int8 is not in our table")
    assert rows_for("salgan", "int8", "aarch64") == ([], "")
    assert choose(artifact, Options()).backend == "onnxruntime", "the tiny network was never measured"


def test_without_the_package_one_sentence_tells_what_to_install(artifact: Path) -> None:
    program = (
        "import sys\nsys.modules['openvino'] = None\n"
        f"sys.argv = ['sal-run', {str(artifact)!r}, '--source', 'x.avi', '--backend', 'openvino']\n"
        "from sal_runtime.__main__ import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("error: openvino is not installed: pip install 'sal-edge[openvino]'")
    assert done.stderr.count("\n") == 1
