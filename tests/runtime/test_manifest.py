"""The contract's record: what is written is read, and what does not hold is refused with a sentence."""

import dataclasses
import json
from pathlib import Path

import pytest

from sal_runtime import Engine, Manifest
from sal_runtime.errors import ArtifactError
from sal_runtime.manifest import StateSpec, TensorSpec
from tiny import ema_manifest, write_ema_artifact


def test_json_gives_back_what_was_written() -> None:
    manifest = dataclasses.replace(ema_manifest(alpha=0.1, batch=-1), parity={"frames": 3, "min_cc": 0.5})
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_carry_is_per_second_not_per_frame() -> None:
    """At 10 fps one frame spans three of the reference's: 0.9 ** 3."""
    manifest = ema_manifest(alpha=0.1)
    assert manifest.normal_carry == pytest.approx(0.9)
    assert manifest.carry_after(1 / 30) == pytest.approx(0.9)
    assert manifest.carry_after(0.1) == pytest.approx(0.729)
    assert manifest.carry_after(1 / 30, alpha=0.3) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"version": 2}, "manifest version 2 is not 1"),
        ({"reference_fps": 0}, "reference rate is 0"),
        ({"states": []}, "states and recurrences are not both present"),
        ({"model": None, "surprise": 1}, "lacks or mistakes a field"),
        ({"recurrences": [{"kind": "gru", "index": 3}]}, "recurrence 'gru' is unknown"),
        ({"recurrences": [{"kind": "ema", "index": 3, "alpha": 1.5}]}, "alpha 1.5 is not within 0 to 1"),
    ],
)
def test_a_manifest_that_does_not_hold_is_refused(change: dict[str, object], sentence: str) -> None:
    raw = {**json.loads(ema_manifest().to_json()), **change}
    with pytest.raises(ArtifactError, match=sentence):
        Manifest.from_json(json.dumps(raw), "model.onnx")


def test_a_state_whose_sides_differ_is_refused(tmp_path: Path) -> None:
    lame = StateSpec(TensorSpec("memory", "float32", (1, 1, 16, 32)), TensorSpec("after", "float32", (1, 1, 8, 32)))
    write_ema_artifact(tmp_path / "m.onnx", states=(lame,))
    with pytest.raises(ArtifactError, match=r"state 'memory' float32\[1, 1, 16, 32\] does not pair with 'after'"):
        Engine.open(tmp_path / "m.onnx")


def test_a_state_that_the_graph_does_not_have_is_refused(tmp_path: Path) -> None:
    shape = (1, 1, 16, 32)
    other = StateSpec(TensorSpec("hidden", "float32", shape), TensorSpec("after", "float32", shape))
    write_ema_artifact(tmp_path / "m.onnx", states=(other,))
    with pytest.raises(ArtifactError, match="input 'hidden' is missing in the graph"):
        Engine.open(tmp_path / "m.onnx")


def test_a_graph_state_that_nobody_pairs_is_refused(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "m.onnx", states=(), recurrences=())
    with pytest.raises(ArtifactError, match=r"inputs that the manifest does not pair \(memory\)"):
        Engine.open(tmp_path / "m.onnx")


def test_files_that_are_no_artifact_are_refused(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "bare.onnx", manifest=None)
    with pytest.raises(ArtifactError, match="without a sal-edge manifest"):
        Engine.open(tmp_path / "bare.onnx")
    write_ema_artifact(tmp_path / "text.onnx", manifest="{not json")
    with pytest.raises(ArtifactError, match="not JSON"):
        Engine.open(tmp_path / "text.onnx")
    whole = (tmp_path / "bare.onnx").read_bytes()
    (tmp_path / "cut.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match=r"cut\.onnx: cannot open it"):
        Engine.open(tmp_path / "cut.onnx")
    with pytest.raises(ArtifactError, match="there is no such file"):
        Engine.open(tmp_path / "absent.onnx")
    (tmp_path / "weights.pt").write_bytes(b"")
    with pytest.raises(ArtifactError, match=r"an artifact ends in \.onnx"):
        Engine.open(tmp_path / "weights.pt")
