"""``sal-run`` as a user runs it: real processes, real files, and the sentence for everything that can be wrong."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from sal_runtime.sources import open_source
from sal_runtime.vision import cv2
from tiny import SHARED, grey, write_clip, write_ema_artifact


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_ema_artifact(tmp_path / "model.onnx", alpha=0.5)
    return tmp_path / "model.onnx"


def sal_run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sal_runtime", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


def refused(folder: Path, *arguments: object, **options: object) -> str:
    """Run what must fail: one sentence, exit code 2, and not a file more than before. Returns the sentence."""
    before = sorted(folder.rglob("*"))
    done = sal_run(*arguments, **options)
    assert done.returncode == 2, done.stderr + done.stdout
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert sorted(folder.rglob("*")) == before
    return done.stderr.removeprefix("error: ").strip()


def test_everything_at_once(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi")
    out = tmp_path / "new" / "folder"
    done = sal_run(
        model, "--source", clip, "--save", out / "o.mp4", "--save-maps", out / "maps", "--bits", 16,
        "--save-npz", out / "o.npz", "--save-jsonl", out / "o.jsonl",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in out.iterdir()) == ["maps", "o.jsonl", "o.mp4", "o.npz"]

    video = open_source(str(out / "o.mp4"))
    assert (video.fps, len(list(video))) == (12.5, 12)

    with np.load(out / "o.npz") as arrays:
        maps, times = arrays["saliency"], arrays["timestamp"]
        assert arrays["index"].tolist() == list(range(12))
    assert maps.shape == (12, 16, 32)
    assert times == pytest.approx(np.arange(12) / 12.5)
    expected, kept = [], 0.0
    for index in range(12):
        carry = 0.5 ** (30 / 12.5) if index else 0.0
        kept = (1 - carry) * 20 * index / 255 + carry * kept
        expected.append(kept)
    assert maps[:, 8, 16] == pytest.approx(expected, abs=0.012), "equation (6), threaded over the clip"

    image = cv2.imread(str(out / "maps" / "000011.png"), cv2.IMREAD_UNCHANGED)
    assert (image.dtype, image.shape) == (np.uint16, (48, 64))
    assert image[24, 32] / 65535 == pytest.approx(float(maps[11, 8, 16]), abs=1e-3)

    lines = [json.loads(line) for line in (out / "o.jsonl").read_text().splitlines()]
    assert [line["index"] for line in lines] == list(range(12))
    assert (lines[0]["restart"], lines[1]["restart"]) == ("start", None)
    assert lines[1]["carry"] == pytest.approx(0.5 ** (30 / 12.5), abs=1e-5)
    assert set(lines[0]["ms"]) == {"decode", "prepare", "compute"}
    assert "12 in" in done.stdout
    assert "saved" in done.stdout


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not beside this checkout")
def test_every_frame_of_a_real_clip_is_there_at_its_rate(model: Path, tmp_path: Path) -> None:
    clip = SHARED / "clips" / "car-detection.mp4"
    assert sal_run(model, "--source", clip, "--save", tmp_path / "out.mp4", "--layout", "side-by-side").returncode == 0
    before, after = open_source(str(clip)), open_source(str(tmp_path / "out.mp4"))
    assert (after.fps, after.frames) == (before.fps, before.frames)
    pairs = list(zip(before, after, strict=True))
    assert len(pairs) == 377
    # The clip's flicker is a fingerprint of its frames; one lost, doubled or swapped would shift it.
    flicker = np.diff([one.image.mean() for one, _ in pairs])
    saved = np.diff([other.image[:, :768].mean() for _, other in pairs])
    likeness = {lag: np.corrcoef(flicker[5:-5], np.roll(saved, lag)[5:-5])[0, 1] for lag in range(-3, 4)}
    assert likeness[0] > 0.9
    assert max(value for lag, value in likeness.items() if lag) < likeness[0] - 0.05


@pytest.mark.parametrize("suffix", [".mp4", ".avi", ".mkv", ".webm", ".mov"])
def test_containers(model: Path, tmp_path: Path, suffix: str) -> None:
    clip, saved = write_clip(tmp_path / "clip.avi", fps=29.97), tmp_path / f"out{suffix}"
    done = sal_run(model, "--source", clip, "--save", saved, "--layout", "side-by-side")
    assert (done.returncode, done.stderr) == (0, "")
    frames = [f.image for f in open_source(str(saved))]
    assert len(frames) == 12
    assert frames[0].shape == (48, 128, 3)
    assert open_source(str(saved)).fps == pytest.approx(29.97, abs=0.05)


def test_names_that_look_like_something_else(model: Path, tmp_path: Path) -> None:
    """FFmpeg takes a colon for an address, rich a bracket for markup; neither may happen to a file's name."""
    clip = write_clip(tmp_path / "clip12:30[b].avi")
    done = sal_run(model, "--source", clip.name, "--save", "run-12:30[/b].mp4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "run-12:30[/b].mp4" in done.stdout
    assert len(list(open_source(str(tmp_path / "run-12:30[/b].mp4")))) == 12


def test_pictures_of_one_name_in_several_folders_keep_apart(model: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "1.png"), grey(100))
    assert sal_run(model, "--source", tmp_path / "*" / "1.png", "--save-maps", tmp_path / "maps").returncode == 0
    assert sorted(p.name for p in (tmp_path / "maps").iterdir()) == ["000000_1.png", "000001_1.png"]


def test_a_folder_is_not_replaced_by_a_file_nor_one_that_holds_other_things(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    state = ("--save-state", tmp_path / "mine", "--exist-ok")
    assert "is a folder, which is not replaced" in refused(tmp_path, model, "--source", clip, *state)
    maps = ("--save-maps", tmp_path / "mine", "--exist-ok")
    assert "holds more than map images" in refused(tmp_path, model, "--source", clip, *maps)


def test_a_picture_gives_a_picture(model: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "in.png"), grey(200, 40, 60))
    assert sal_run(model, "--source", tmp_path / "in.png", "--save", tmp_path / "out.png").returncode == 0
    assert cv2.imread(str(tmp_path / "out.png")).shape == (40, 60, 3)


def test_a_state_is_kept_and_taken_up(model: Path, tmp_path: Path) -> None:
    """Two halves joined by a saved state give the maps of the whole."""
    for index in range(6):
        cv2.imwrite(str(tmp_path / f"{index}.png"), grey(20 + 5 * index))
    sal_run(model, "--source", tmp_path / "[0-5].png", "--save-npz", tmp_path / "whole.npz")
    sal_run(model, "--source", tmp_path / "[0-2].png", "--save-state", tmp_path / "state.npz")
    source = tmp_path / "[3-5].png"
    done = sal_run(model, "--source", source, "--resume", tmp_path / "state.npz", "--save-npz", tmp_path / "rest.npz")
    assert done.returncode == 0, done.stderr
    assert "begun anew" not in done.stdout
    whole, rest = np.load(tmp_path / "whole.npz")["saliency"], np.load(tmp_path / "rest.npz")["saliency"]
    assert rest == pytest.approx(whole[3:])


def test_wrong_arguments(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi")
    two = ("--save-npz", tmp_path / "a.npz", "--save-state", tmp_path / "a.npz")
    assert "is named for two outputs" in refused(tmp_path, model, "--source", clip, *two)
    assert "is or holds the source" in refused(tmp_path, model, "--source", clip, "--save", clip, "--exist-ok")
    assert "is no model (.onnx, .engine); to run on it: --source " in refused(tmp_path, clip)
    assert refused(tmp_path, model) == (
        "say where frames come from: --source FILE, --source demo or --camera 0 (one of them)"
    )
    assert "there is no backend 'tpu'" in refused(tmp_path, model, "--source", "demo", "--backend", "tpu")
    assert "--bits is 8 or 16, not 12" in refused(tmp_path, model, "--source", "demo", "--bits", 12)
    assert refused(tmp_path, model, "--source", "demo", "--device", "tpu") == (
        "--device is cpu, cuda or cuda:N, not 'tpu'"
    )


def test_options_that_would_do_nothing(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi")
    assert refused(tmp_path, model, "--source", clip, "--bits", 16) == "--bits is for --save-maps"
    assert refused(tmp_path, model, "--source", clip, "--fps", 5) == (
        f"--fps is for pictures; {clip} has a rate of its own, 12.5"
    )
    picture = tmp_path / "1.png"
    cv2.imwrite(str(picture), grey(5))
    assert refused(tmp_path, picture, "--source", picture) == (
        f"{picture} is no model (.onnx, .engine); a pattern wants quotes: --source 'frames/*.jpg'"
    )
    assert refused(tmp_path, model, "--source", clip, "--resume", tmp_path / "no.npz") == (
        f"{tmp_path / 'no.npz'}: there is no such file; --save-state makes one"
    )
    assert refused(tmp_path, model, "--source", clip, "--resume", clip) == (
        f"{clip}: not a state that --save-state kept, or damaged"
    )


def test_wrong_sources(model: Path, tmp_path: Path) -> None:
    assert refused(tmp_path, model, "--source", "").startswith("the source is empty; name a file")
    out = tmp_path / "out.mp4"
    (tmp_path / "empty").mkdir()
    assert "gives no pictures" in refused(tmp_path, model, "--source", tmp_path / "empty", "--save", out)
    (tmp_path / "text.mp4").write_text("hello")
    assert "not a video" in refused(tmp_path, model, "--source", tmp_path / "text.mp4", "--save", out)
    assert "/dev/video7 is not there" in refused(tmp_path, model, "--camera", 7, "--save", out)
    data = write_clip(tmp_path / "clip.avi", frames=60).read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    cut = (
        "--source",
        tmp_path / "cut.avi",
        "--save",
        out,
        "--save-maps",
        tmp_path / "m",
        "--save-npz",
        tmp_path / "o.npz",
    )
    assert "truncated or damaged; --allow-truncated" in refused(tmp_path, model, *cut)
    assert sal_run(model, *cut, "--allow-truncated").returncode == 0


def test_wrong_models(tmp_path: Path) -> None:
    assert refused(tmp_path, tmp_path, "--source", "demo").endswith("is a folder; a model is a file, .onnx or .engine")
    write_ema_artifact(tmp_path / "bare.onnx", manifest=None)
    assert "without a sal-edge manifest" in refused(tmp_path, tmp_path / "bare.onnx", "--source", "demo")
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07 nonsense")
    assert "cannot open it" in refused(tmp_path, tmp_path / "broken.onnx", "--source", "demo")


def test_what_exists_is_kept(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi")
    for option, name in (
        ("--save", "o.mp4"),
        ("--save-npz", "o.npz"),
        ("--save-jsonl", "o.jsonl"),
        ("--save-maps", "m"),
    ):
        kept = tmp_path / name
        kept.mkdir() if name == "m" else kept.write_text("precious")
        sentence = refused(tmp_path, model, "--source", clip, option, kept)
        assert sentence == f"{kept} exists and is kept; choose another name or pass --exist-ok"
        assert sal_run(model, "--source", clip, option, kept, "--exist-ok").returncode == 0
        assert kept.is_dir() if name == "m" else kept.read_bytes() != b"precious"


def test_a_video_is_not_kept_in_a_picture(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi")
    assert "a picture keeps one frame" in refused(tmp_path, model, "--source", clip, "--save", tmp_path / "o.png")
    assert "a video ends in .mp4" in refused(tmp_path, model, "--source", clip, "--save", tmp_path / "o.gif")


@pytest.mark.parametrize("option", ["--save", "--save-npz", "--save-jsonl", "--save-maps"])
def test_a_full_disk(model: Path, tmp_path: Path, option: str) -> None:
    """A real file system of 300 kB."""
    clip = write_clip(tmp_path / "clip.avi", frames=400)
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", disk], capture_output=True).returncode == 0
    )
    if not mounted:
        pytest.skip("needs the right to mount a small file system")
    try:
        name = {"--save": "o.avi", "--save-npz": "o.npz", "--save-jsonl": "o.jsonl", "--save-maps": "maps"}[option]
        filler = 300_000 - 4096 * 4 if option == "--save-jsonl" else 100_000
        (disk / "filler").write_bytes(bytes(filler))
        sentence = refused(disk, model, "--source", clip, option, disk / name)
        assert re.search(r"No space left on device|no space is left|is the disk full", sentence), sentence
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_leaves_whole_files(model: Path, tmp_path: Path, number: signal.Signals) -> None:
    for index in range(3000):
        os.link(_picture(tmp_path), tmp_path / f"{index}.png")
    command = [
        sys.executable,
        "-m",
        "sal_runtime",
        str(model),
        "--source",
        str(tmp_path),
        "--save",
        str(tmp_path / "o.mp4"),
    ]
    command += ["--save-npz", str(tmp_path / "o.npz"), "--save-jsonl", str(tmp_path / "o.jsonl")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not any(p.stat().st_size > 20_000 for p in tmp_path.glob(".o.*.raw")) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "stopped" in stdout
    frames = len(np.load(tmp_path / "o.npz")["saliency"])
    assert 0 < frames < 3000
    assert len(list(open_source(str(tmp_path / "o.mp4")))) == frames
    assert len((tmp_path / "o.jsonl").read_text().splitlines()) == frames
    assert not list(tmp_path.glob(".o.*"))


def _picture(folder: Path) -> Path:
    """A picture, made once."""
    path = folder / "picture"
    if not path.exists():
        path.write_bytes(
            cv2.imencode(".png", np.random.default_rng(0).integers(0, 256, (120, 160, 3), np.uint8))[1].tobytes()
        )
    return path


def test_killing_leaves_no_file_that_looks_whole(model: Path, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", frames=3000)
    command = [
        sys.executable,
        "-m",
        "sal_runtime",
        str(model),
        "--source",
        str(clip),
        "--save",
        str(tmp_path / "o.mp4"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".o.*")) and time.monotonic() < deadline:
            time.sleep(0.01)
        process.kill()
    assert not (tmp_path / "o.mp4").exists()
