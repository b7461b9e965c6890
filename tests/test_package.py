"""What is installed: the wheel's files, the default model, and the commands without an argument."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sal_runtime import Engine
from sal_runtime.bundled import ARTIFACT, CHECKPOINT, default_model
from sal_runtime.errors import ArtifactError
from sal_runtime.sources import open_source
from sal_train.checkpoint import load_checkpoint, weights_sha256
from tiny import SHARED, write_clip

ROOT = Path(__file__).resolve().parents[1]


def run(module: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=cwd)


@pytest.mark.slow
def test_the_wheel_holds_the_packages_and_nothing_else(tmp_path: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git, since the build leaves out what git ignores")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, check=True, timeout=250, cwd=ROOT, stdout=subprocess.DEVNULL)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {
        "sal_runtime", "sal_train", "sal_export", "sal_bench",
    }  # fmt: skip
    assert {"sal_runtime/models/compact-ema.onnx", "sal_runtime/models/compact-ema.safetensors"} <= set(names)
    assert "sal_runtime/models/MODEL_CARD.md" in names
    assert "sal_train/recipes/salema30.yaml" in names
    assert not [name for name in names if name.endswith((".pyc", ".pt"))]


def test_the_shipped_artifact_is_the_shipped_checkpoint_and_small() -> None:
    manifest = Engine.open(default_model()).manifest
    network = load_checkpoint(CHECKPOINT)
    assert manifest.model == network.config.name == "compact-ema"
    assert manifest.provenance["weights_sha256"] == weights_sha256(network)
    assert not manifest.random_weights
    assert manifest.parity is not None
    assert manifest.parity["frames"] >= 300
    assert ARTIFACT.stat().st_size + CHECKPOINT.stat().st_size < 6_000_000
    assert sum(p.numel() for p in network.parameters()) < 1_500_000


def test_an_installation_without_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"carries no default model \(x\.onnx is missing\): name a model"):
        default_model(tmp_path / "x.onnx")


def test_the_users_own_spellings(tmp_path: Path) -> None:
    """``sal-export --precision fp16`` and ``sal-run`` on a camera or file, with no model named."""
    done = run("sal_export", "--precision", "fp16", "--parity-frames", 12, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "compact-ema-fp16.onnx").exists()
    done = run("sal_runtime", "--source", write_clip(tmp_path / "clip.avi"), "--save", "out.mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(list(open_source(str(tmp_path / "out.mp4")))) == 12
    done = run("sal_runtime", "--camera", 63, cwd=tmp_path)
    assert (done.returncode, done.stderr.count("error: camera 63: /dev/video63 is not there")) == (2, 1)


def test_it_looks_at_the_face() -> None:
    """scikit-image's astronaut: the strongest place of the map lies on her face."""
    astronaut = next(iter(open_source("demo"))).image
    saliency = Engine.open(default_model()).stream().step(astronaut)
    y, x = np.unravel_index(int(saliency.argmax()), saliency.shape)
    assert 0.30 < x / 256 < 0.50
    assert 0.05 < y / 192 < 0.55


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the photographs with fixations are not beside this checkout")
def test_its_card_tells_the_truth(tmp_path: Path) -> None:
    from sal_train.evaluation.report import Evaluation

    out = tmp_path / "e.json"
    done = run("sal_train.evaluation", "--data", SHARED / "osie", "--metrics", "NSS,CC", "--json", out, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    mean = Evaluation.read(out).runs[0].scores.frame_mean()
    assert mean.nss == pytest.approx(2.625, abs=0.005)
    assert mean.cc == pytest.approx(0.729, abs=0.002)
