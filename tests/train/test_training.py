"""Training as a user runs it: small trees on the disk, real processes, one of them killed."""

from __future__ import annotations

import csv
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

import trees
from sal_runtime.errors import CheckpointError, InputError
from sal_runtime.vision import cv2
from sal_train.checkpoint import load_checkpoint, save_checkpoint
from sal_train.imagenet import load_vgg16
from sal_train.losses import LossWeights, clip_loss
from sal_train.models import CONFIGS, PIXEL_MEAN, SalNetwork, build_network, named_config
from sal_train.recipe import load_recipe
from sal_train.training.start import starting_network


@pytest.fixture(scope="module")
def dhf1k(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DHF1K of two training videos and a validation one."""
    return trees.dhf1k(tmp_path_factory.mktemp("dhf1k"), {1: 5, 2: 4, 601: 3})


@pytest.fixture(scope="module")
def stills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("stills")
    trees.stills(root, "train", [f"photo{i}" for i in range(6)])
    return trees.stills(root, "val", ["other"])


def sal_train(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sal_train", *map(str, arguments), "--device", "cpu", "--workers", "0"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=250, cwd=cwd, env=environment)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as handle:
        return list(csv.DictReader(handle))


def losses(run: Path) -> list[str]:
    return [row["loss"] for row in rows(run / "losses.csv")]


@pytest.mark.parametrize("name", CONFIGS)
def test_every_configuration_trains_two_steps(name: str, dhf1k: Path, tmp_path: Path) -> None:
    """In this process, since it is the loop that is shown; the command has tests of its own."""
    from lightning_fabric import Fabric

    from sal_train.data import open_dataset
    from sal_train.training.batches import Batches
    from sal_train.training.loop import LoopOptions, Training

    recipe = load_recipe(
        name, {"data": {"kind": "video", "size": (32, 64), "colour": 0}, "batch": 1, "precision": "32-true"}
    )
    network = starting_network(recipe.model_copy(update={"start": "scratch"}), None, None, 0.1)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    batches = Batches(recipe, open_dataset(dhf1k, "train"), workers=0)
    training = Training(recipe, network, batches, None, Fabric(accelerator="cpu"), LoopOptions(tmp_path, max_steps=2))
    path = training.run()
    after = load_checkpoint(path)
    assert after.config.name == name
    assert all(np.isfinite(float(value)) for value in losses(tmp_path))
    assert len(losses(tmp_path)) == 2
    if recipe.optimizer.warmup == 0:
        assert any(not torch.equal(before[key], tensor) for key, tensor in after.state_dict().items())
    if name == "salema30-learnt":
        moved = {key for key, tensor in after.state_dict().items() if not torch.equal(before[key], tensor)}
        assert moved == {"recurrences.30.raw_alpha"}


def test_a_small_salema_learns_a_clip_by_heart() -> None:
    """A bright square that moves; the loss falls below a tenth of its start."""
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(named_config("salema30"), width=0.125))
    frames = torch.full((1, 4, 32, 64, 3), 40, dtype=torch.uint8)
    maps = torch.zeros(1, 4, 32, 64)
    for t in range(4):
        frames[:, t, 8:24, 4 * t + 8 : 4 * t + 24] = 220
        maps[:, t, 8:24, 4 * t + 8 : 4 * t + 24] = 1.0
    optimizer = torch.optim.Adam(network.parameters(), 7e-4)
    values = []
    for _ in range(250):
        saliency, *_ = network.clip(frames)
        loss = clip_loss(saliency, maps, maps > 0, torch.ones(1, 4, dtype=torch.bool), LossWeights())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        values.append(loss.item())
    assert min(values) < 0.1 * values[0]


def test_the_command_leaves_what_it_promises(stills: Path, tmp_path: Path) -> None:
    done = sal_train("compact-ema", "--data", stills, "--epochs", 2, "--width", 0.25, "--batch", 3,
                     "--imgsz", 32, 64, "--out", tmp_path / "run")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"next:    sal-export {tmp_path / 'run' / 'compact-ema.safetensors'}" in done.stdout.replace("\n", "")
    run = tmp_path / "run"
    assert [row["epoch"] for row in rows(run / "metrics.csv")] == ["1", "2"]
    assert {"nss", "cc"} <= rows(run / "metrics.csv")[0].keys()
    assert len(losses(run)) == 4
    assert cv2.imread(str(run / "predictions" / "epoch-002.jpg")).shape == (32, 192, 3)
    assert list((run / "tensorboard").glob("events.*"))
    assert load_checkpoint(run / "compact-ema.safetensors").config.width == 0.25


def test_a_killed_run_goes_on_as_if_nothing_had_happened(stills: Path, tmp_path: Path) -> None:
    """Dropout, weight averages and a kill between two kept states: the losses are the same to the last bit."""
    command = ("compact-ema", "--data", stills, "--epochs", 12, "--width", 0.25, "--batch", 3, "--imgsz", 32, 64)
    command += ("--save-every", 3)  # type: ignore[assignment]
    whole = sal_train(*command, "--out", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr

    run = tmp_path / "run"
    words = [
        sys.executable,
        "-m",
        "sal_train",
        *map(str, command),
        "--out",
        str(run),
        "--device",
        "cpu",
        "--workers",
        "0",
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and not (
            (run / "losses.csv").exists() and len((run / "losses.csv").read_text().splitlines()) > 6
        ):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    killed_at = len(losses(run))
    assert 5 <= killed_at < 24, "killed in the middle"
    done = sal_train(*command, "--out", run)
    assert done.returncode == 0, done.stderr
    assert losses(run) == losses(tmp_path / "whole")
    assert rows(run / "metrics.csv") == rows(tmp_path / "whole" / "metrics.csv")
    one, other = (
        load_checkpoint(folder / "compact-ema.safetensors").state_dict() for folder in (run, tmp_path / "whole")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)


def test_a_resumed_video_takes_up_its_state(dhf1k: Path, tmp_path: Path) -> None:
    """Clips of two frames; stopped in the middle of a video, the recurrence goes on where it was."""
    recipe = tmp_path / "short.yaml"
    recipe.write_text(
        "{based_on: salema30, start: scratch, phases: [{epochs: 1, length: 2}], data: {size: [32, 64]},"
        " optimizer: {lr: 0.001}}"
    )
    command = (recipe, "--data", dhf1k, "--width", 0.1, "--val-split", "")
    assert sal_train(*command, "--out", tmp_path / "whole").returncode == 0
    assert sal_train(*command, "--out", tmp_path / "run", "--max-steps", 2).returncode == 0
    assert len(losses(tmp_path / "run")) == 2
    assert sal_train(*command, "--out", tmp_path / "run").returncode == 0
    assert len(losses(tmp_path / "whole")) == 5
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_ctrl_c_keeps_the_state(stills: Path, tmp_path: Path) -> None:
    words = ["compact-ema", "--data", stills, "--width", "0.25", "--imgsz", "32", "64", "--out", tmp_path, "--exist-ok"]
    command = [sys.executable, "-m", "sal_train", *map(str, words), "--device", "cpu", "--workers", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 100
        while time.monotonic() < deadline and not (tmp_path / "losses.csv").exists():
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "the same command goes on from here" in stderr
    assert (tmp_path / "state.pt").exists()


def test_wrong_words(stills: Path, tmp_path: Path) -> None:
    def refused(*arguments: object) -> str:
        done = sal_train(*arguments, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("error: ") == 1
        return done.stderr

    assert "there is no recipe 'salema31'; choose from compact-clstm" in refused("salema31", "--data", stills)
    assert "say where OSIE lies: --data DIR" in refused("compact-ema")
    assert "no such folder" in refused("compact-ema", "--data", tmp_path / "absent")
    assert "pass --weights FILE, made by sal-train salbce or released" in refused("salema30", "--data", stills)
    assert "both sides must be multiples of 16" in refused("compact-ema", "--data", stills, "--imgsz", 30, 64)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    mine = ("compact-ema", "--data", stills, "--out", tmp_path / "mine", "--exist-ok")
    assert "holds no run to resume" in refused(*mine)
    assert (tmp_path / "mine" / "thesis.txt").exists()
    assert not (tmp_path / "runs").exists()


def test_a_run_of_another_recipe_is_not_gone_on_with(stills: Path, tmp_path: Path) -> None:
    command = (
        "compact-ema",
        "--data",
        stills,
        "--epochs",
        1,
        "--width",
        0.25,
        "--imgsz",
        32,
        64,
        "--out",
        tmp_path / "r",
    )
    assert sal_train(*command).returncode == 0
    done = sal_train(*command, "--lr", 0.5)
    assert (done.returncode, done.stderr.count("recipe differs in optimizer; choose another --out")) == (2, 1)


def test_an_unreadable_file_is_one_sentence_whoever_reads_it(tmp_path: Path) -> None:
    """With a process that reads ahead, as by default; and constant maps are counted."""
    root = trees.dhf1k(tmp_path / "d", {1: 4})
    maps = sorted((root / "annotation" / "0001" / "maps").glob("*.png"))
    cv2.imwrite(str(maps[1]), np.zeros((trees.HEIGHT, trees.WIDTH), np.uint8))
    words = ["salema30", "--start", "scratch", "--data", root, "--width", 0.1, "--imgsz", 32, 64, "--epochs", 1]
    words += ["--val-split", "", "--device", "cpu", "--out", tmp_path / "run"]
    command = [sys.executable, "-m", "sal_train", *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "1 frames so far had an empty or constant map" in done.stderr.replace("\n", " ")
    maps[2].write_bytes(b"nonsense")
    done = subprocess.run([*command, "--exist-ok"], capture_output=True, text=True, timeout=200)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert f"error: {maps[2]}: is damaged or not a picture" in done.stderr


def test_alpha_alone_on_first_frames_only(tmp_path: Path) -> None:
    """Where every video is one frame, alpha is in no frame's map: nothing to learn, and no crash."""
    root = trees.dhf1k(tmp_path / "d", {1: 1, 2: 1})
    done = sal_train("salema30-learnt", "--start", "scratch", "--data", root, "--width", 0.1, "--imgsz", 32, 64,
                     "--epochs", 1, "--val-split", "", "--out", tmp_path / "run")  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_adversarial_term(stills: Path, tmp_path: Path) -> None:
    done = sal_train("salgan", "--start", "scratch", "--data", stills, "--epochs", 2, "--width", 0.1, "--batch", 3,
                     "--imgsz", 32, 64, "--out", tmp_path / "run")  # fmt: skip
    assert done.returncode == 0, done.stderr
    state = torch.load(tmp_path / "run" / "state.pt", weights_only=True)
    torch.manual_seed(0)
    assert {"critic", "critic_optimizer"} <= state.keys()
    critic = [float(row["critic"]) for row in rows(tmp_path / "run" / "losses.csv")]
    assert np.isfinite(critic).all()
    assert max(critic) > 0.0
    assert len(losses(tmp_path / "run")) == 4


def test_salbces_weights_start_every_variant(tmp_path: Path) -> None:
    torch.manual_seed(0)
    salbce = build_network(dataclasses.replace(named_config("salbce"), width=0.125))
    save_checkpoint(salbce, tmp_path / "salbce.safetensors")
    torch.save({"state_dict": salbce.state_dict()}, tmp_path / "SalBCE.pt")
    for name in ("salema30-learnt", "salema7-54", "salclstm30"):
        for file in ("salbce.safetensors", "SalBCE.pt"):
            network = starting_network(load_recipe(name), tmp_path / file, None, 0.125)
            assert all(torch.equal(network.state_dict()[key], t) for key, t in salbce.state_dict().items())
    with pytest.raises(CheckpointError, match=r"as a start for salema30, salgan\.0\.weight is \[8, 3, 3, 3\], not"):
        starting_network(load_recipe("salema30"), tmp_path / "salbce.safetensors", None, 0.2)
    with pytest.raises(InputError, match="only the paper's networks start from VGG-16"):
        starting_network(load_recipe("compact-ema", {"start": "imagenet"}), None, None)


def test_imagenets_encoder_computes_the_same_from_our_pixels(tmp_path: Path) -> None:
    """torchvision's VGG-16 on normalised RGB against our encoder on BGR, away from the padded edge."""
    torch.manual_seed(0)
    reference = torchvision.models.vgg16(weights=None).eval()
    torch.save(reference.state_dict(), tmp_path / "vgg16.pth")
    network = SalNetwork(named_config("salbce")).eval()
    load_vgg16(network, tmp_path / "vgg16.pth")
    pixels = torch.randint(0, 256, (1, 3, 48, 48)).float()
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normal = (pixels / 255.0 - mean[:, None, None]) / deviation[:, None, None]
    ours = pixels.flip(1) - torch.tensor(PIXEL_MEAN)[:, None, None]
    with torch.no_grad():
        first, own = reference.features[0](normal), network.salgan[0](ours)
        assert torch.allclose(first[..., 1:-1, 1:-1], own[..., 1:-1, 1:-1], atol=1e-4)
        assert all(
            torch.equal(a.weight, b.weight)
            for a, b in zip(reference.features[2:30], network.salgan[2:30], strict=True)
            if isinstance(a, nn.Conv2d) and isinstance(b, nn.Conv2d)
        )
    (tmp_path / "other.pth").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="cannot be read as torchvision's VGG-16"):
        load_vgg16(network, tmp_path / "other.pth")
