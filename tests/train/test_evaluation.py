"""Models over datasets: what is scored, on scenes where it can be worked out, and on networks against each other."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from halves import NSS, halves, noise
from sal_export.options import ExportOptions
from sal_export.pipeline import export_onnx
from sal_runtime.errors import BackendError, CheckpointError, DataError, InputError
from sal_train.checkpoint import save_checkpoint
from sal_train.evaluation import Baseline, Options, Run, choose_clips, evaluate, open_model
from sal_train.evaluation.tables import TABLES
from sal_train.metrics import METRICS
from sal_train.models import CompactNetwork, RecurrentNetwork, build_network, named_config
from tiny import write_ema_artifact
from trees import stills, write

SIZE = (32, 48)


def small(name: str, width: float = 0.05) -> RecurrentNetwork:
    torch.manual_seed(1)
    return build_network(dataclasses.replace(named_config(name), width=width)).eval()


def runs(model: Path, data: Path, options: Options | None = None, **how: object) -> list[Run]:
    opened = open_model(model, **how)  # type: ignore[arg-type]
    with opened.engine:
        return evaluate(opened, choose_clips(data, "val"), options)


def values(run: Run) -> dict[str, dict[str, float]]:
    return {video.name: video.mean.as_dict() for video in run.scores.videos}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_ema_artifact(tmp_path / "model.onnx", alpha=0.25)
    return tmp_path / "model.onnx"


def test_a_slow_average_lags_and_a_fast_one_does_not(model: Path, tmp_path: Path) -> None:
    """On the second frame a quarter of the new half stands against three quarters of the old one."""
    data = halves(tmp_path / "d", {"a": "LR"})
    own, fast = runs(model, data)[0], runs(model, data, Options(alphas=(0.75,)))[0]
    assert (own.alpha, fast.alpha) == (0.25, 0.75)
    assert values(own)["a"]["nss"] == pytest.approx(0.0)
    assert values(own)["a"]["cc"] == pytest.approx(0.0)
    assert values(own)["a"]["auc_judd"] == pytest.approx(0.5, abs=0.26), "one right, one wrong"
    assert values(fast)["a"]["nss"] == pytest.approx(NSS)
    assert values(fast)["a"]["cc"] == pytest.approx(1.0)
    assert values(fast)["a"]["kl"] == pytest.approx(math.log(1 / 0.75) / 2, abs=1e-6), "0 and log(1 / 0.75)"


def test_several_alphas_in_one_pass_give_what_each_gives_alone(model: Path, tmp_path: Path) -> None:
    data = halves(tmp_path / "d", {"a": "LRL", "b": "RRLL"})
    together = runs(model, data, Options(alphas=(0.1, 0.6, 1.0), workers=3))
    alone = [runs(model, data, Options(alphas=(alpha,), workers=1))[0] for alpha in (0.1, 0.6, 1.0)]
    assert together == alone
    assert [run.alpha for run in together] == [0.1, 0.6, 1.0]


def test_every_video_starts_anew_and_both_means_are_told(model: Path, tmp_path: Path) -> None:
    """The second video would begin with the first one's left half otherwise."""
    run = runs(model, halves(tmp_path / "d", {"a": "LLL", "b": "R"}, looked={"a": "LLR", "b": "R"}))[0]
    assert [(v.name, v.frames) for v in run.scores.videos] == [("a", 3), ("b", 1)]
    assert values(run)["b"]["nss"] == pytest.approx(NSS)
    assert run.scores.video_mean().nss == pytest.approx((NSS / 3 + NSS) / 2)
    assert run.scores.frame_mean().nss == pytest.approx(NSS / 2)


def test_by_time_the_frame_rate_decides(model: Path, tmp_path: Path) -> None:
    """carry = 0.6 a frame at 30 fps, so 0.6 ** 2 at 15 fps: the new half outweighs the old."""
    halves(tmp_path / "d", {"a": "LR"})
    clips = choose_clips(tmp_path / "d", "val", fps=15.0)
    opened = open_model(model)
    by_frame, by_time = (evaluate(opened, clips, Options((0.4,), by_time=b))[0].scores for b in (False, True))
    assert by_frame.video_mean().nss == pytest.approx(0.0)
    assert by_time.video_mean().nss == pytest.approx(NSS)


def test_a_stride_shows_the_model_only_what_is_taken(model: Path, tmp_path: Path) -> None:
    run = runs(model, halves(tmp_path / "d", {"a": "LRLRL"}), Options(vid_stride=2))[0]
    assert run.scores.frames == 3
    assert run.scores.video_mean().nss == pytest.approx(NSS)


def test_an_artifact_of_a_fixed_batch(model: Path, tmp_path: Path) -> None:
    data = halves(tmp_path / "d", {"a": "LRR"})
    write_ema_artifact(tmp_path / "batch.onnx", alpha=0.25, batch=3)
    assert runs(tmp_path / "batch.onnx", data) == runs(model, data)


def test_what_is_left_out_is_counted_with_its_reason(model: Path, tmp_path: Path) -> None:
    data = halves(tmp_path / "d", {"a": "LLL", "b": "0"}, looked={"a": "L0L", "b": "L"}, mapped={"a": "LL0", "b": "L"})
    run = runs(model, data)[0]
    assert run.left_out == {"no fixation": 1, "map empty or constant": 1, "prediction without contrast": 1}
    assert run.scores.left_out() == dict(zip(METRICS, (2, 2, 2, 2, 2, 2, 2), strict=True))
    assert run.scores.video_mean().nss == pytest.approx(NSS), "the mean of what is there"
    assert math.isnan(values(run)["b"]["nss"])


def test_a_dataset_without_fixations_has_its_maps(model: Path, tmp_path: Path) -> None:
    data = halves(tmp_path / "d", {"a": "LR"}, with_fixations=False)
    with pytest.raises(
        DataError, match=r"^a has no fixations; take another split, or ask for --metrics cc,sim,kl alone$"
    ):
        runs(model, data)
    run = runs(model, data, Options(metrics=("cc", "sim"), alphas=(1.0,)))[0]
    assert values(run)["a"] == pytest.approx({"cc": 1.0, "sim": 1.0})


def test_a_dataset_without_maps_has_its_fixations(model: Path, tmp_path: Path) -> None:
    clips = choose_clips(halves(tmp_path / "d", {"a": "LR"}), "val")
    clips = [dataclasses.replace(clip, maps=None) for clip in clips]
    with pytest.raises(DataError, match=r"^a has no saliency maps; take another split, or leave out cc, sim and kl$"):
        evaluate(open_model(model), clips)
    run = evaluate(open_model(model), clips, Options(metrics=("nss",), alphas=(1.0,)))[0]
    assert values(run)["a"] == pytest.approx({"nss": NSS})


def test_options_that_do_not_fit(model: Path, tmp_path: Path) -> None:
    data = halves(tmp_path / "d", {"a": "L"})
    save_checkpoint(small("salclstm30"), tmp_path / "c.safetensors")
    with pytest.raises(InputError, match="salclstm30 has no EMA, so there is no alpha to set"):
        runs(tmp_path / "c.safetensors", data, Options(alphas=(0.1,)), imgsz=SIZE)
    with pytest.raises(InputError, match=r"alpha must be above 0 and at most 1, not 1\.5"):
        runs(model, data, Options(alphas=(1.5,)))
    with pytest.raises(InputError, match="fid: no such metric; there are auc_judd, "):
        runs(model, data, Options(metrics=("fid",)))
    with pytest.raises(InputError, match="--config is for checkpoints"):
        open_model(model, config="salema30")
    with pytest.raises(InputError, match="--imgsz is for checkpoints"):
        open_model(model, imgsz=SIZE)
    with pytest.raises(InputError, match="runs in PyTorch; --backend onnxruntime is for artifacts"):
        open_model(tmp_path / "c.safetensors", backend="onnxruntime")
    with pytest.raises(InputError, match="the height 33 is not a multiple of 16; the nearest is 32"):
        open_model(tmp_path / "c.safetensors", imgsz=(33, 48))
    with pytest.raises(CheckpointError, match=r"as salema30 it has left over recurrences\.30\.gates"):
        open_model(tmp_path / "c.safetensors", config="salema30")
    with pytest.raises(BackendError, match=r"PyTorch cannot run on the device 'warp' \(.*\); take another --device"):
        open_model(tmp_path / "c.safetensors", device="warp")
    torch.save(small("salbce").state_dict(), tmp_path / "SalBCE.pt")
    with pytest.raises(CheckpointError, match="its tensors do not tell which network it is; say it with --config"):
        open_model(tmp_path / "SalBCE.pt")


@pytest.mark.parametrize("name", ["salema30", "salclstm30", "compact-ema"])
def test_an_artifact_scores_as_its_checkpoint_does(tmp_path: Path, name: str) -> None:
    network, data = small(name), noise(tmp_path / "d", {"a": 4, "b": 2})
    if isinstance(network, CompactNetwork):
        network.last.weight.data *= 1e3  # untrained, its maps are flat but for rounding, and that is not to be scored
    save_checkpoint(network, tmp_path / "c.safetensors")
    export_onnx(network, tmp_path / "m.onnx", ExportOptions(height=32, width=48, parity_frames=3))
    ours, theirs = runs(tmp_path / "c.safetensors", data, imgsz=SIZE)[0], runs(tmp_path / "m.onnx", data)[0]
    assert ours.scores.video_mean().as_dict().keys() == set(METRICS)
    for video in ("a", "b"):
        one, other = values(ours)[video], values(theirs)[video]
        assert not any(math.isnan(value) for value in one.values())
        # Shuffled AUC has thresholds: the last bit of a float can move a fixation over one.
        assert one.pop("auc_shuffled") == pytest.approx(other.pop("auc_shuffled"), abs=5e-3)
        assert one == pytest.approx(other, abs=1e-4)


def test_alpha_one_is_no_recurrence(tmp_path: Path) -> None:
    """And so the weights of SalBCE as SalEMA30 with alpha 1 are SalBCE."""
    data = noise(tmp_path / "d", {"a": 4})
    save_checkpoint(small("salbce"), tmp_path / "c.safetensors")
    frames = runs(tmp_path / "c.safetensors", data, imgsz=SIZE)[0]
    one, tenth = runs(tmp_path / "c.safetensors", data, Options((1.0, 0.1)), config="salema30", imgsz=SIZE)
    assert values(one)["a"] == pytest.approx(values(frames)["a"], abs=1e-6)
    assert values(tenth)["a"]["nss"] != pytest.approx(values(frames)["a"]["nss"], abs=1e-6)
    assert (frames.alpha, one.alpha, tenth.alpha) == (None, 1.0, 0.1)


def test_the_record_of_a_model_tells_what_it_was_trained_as(tmp_path: Path) -> None:
    save_checkpoint(small("salbce"), tmp_path / "c.safetensors")
    export_onnx(small("salbce"), tmp_path / "m.onnx", ExportOptions(height=32, width=48, parity_frames=2))
    record = open_model(tmp_path / "c.safetensors", config="salema30", imgsz=SIZE).record()
    assert (record["name"], record["trained_as"], record["file"]) == ("salema30", "salbce", "c.safetensors")
    assert record["recurrences"] == [{"kind": "ema", "index": 30, "alpha": pytest.approx(0.1), "raw_alpha": None}]
    mine, other = open_model(tmp_path / "c.safetensors", imgsz=SIZE).record(), open_model(tmp_path / "m.onnx").record()
    assert mine["weights_sha256"] == other["weights_sha256"]
    assert mine["identity"] == other["identity"]
    assert (mine["kind"], other["kind"]) == ("checkpoint", "artifact")


def test_information_gain_over_its_own_baseline_is_nothing(model: Path, tmp_path: Path) -> None:
    data = halves(tmp_path / "d", {"a": "LL"})
    array = np.zeros((4, 8))
    array[:, :4] = 1.0
    np.savez(tmp_path / "prior.npz", mean=array)
    options = Options(
        metrics=("ig",),
        baseline=Baseline.read(str(write(tmp_path / "prior.png", np.repeat(array, 4, 0).repeat(4, 1) * 255))),
    )
    assert values(runs(model, data, options)[0])["a"]["ig"] == pytest.approx(0.0, abs=1e-6)
    coarse = Baseline.read(str(tmp_path / "prior.npz")).at(16, 32)
    assert coarse.shape == (16, 32)
    assert coarse.min() == 0.0, "the kernel's overshoot is no density"


def test_the_centred_gaussian(model: Path, tmp_path: Path) -> None:
    """At the fixation, a quarter of the width off the centre and half a pixel down, against half of all pixels."""
    found = Baseline.center().at(16, 32)
    assert divmod(int(found.argmax()), 32) == (7, 15)
    assert float(found[8, 24] / found[8, 15]) == pytest.approx(math.exp(-0.5 * (8.5**2 - 0.5**2) / 8.0**2), rel=1e-5)
    share = (found[8, 8] - found.min()) / (found - found.min()).sum()
    run = runs(model, halves(tmp_path / "d", {"a": "L"}), Options(metrics=("ig",)))[0]
    assert run.scores.video_mean().ig == pytest.approx(math.log2(1 / 256) - math.log2(share), abs=1e-5)


def test_baselines_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "two.npz", a=np.eye(2), b=np.eye(2))
    np.save(tmp_path / "flat.npy", np.ones((2, 2)))
    np.save(tmp_path / "cube.npy", np.ones((2, 2, 2)))
    for name, sentence in (
        ("absent.png", "absent.png: cannot be read"),
        ("absent.npz", "absent.npz: cannot be read as a NumPy file"),
        ("text.npz", "text.npz: cannot be read as a NumPy file"),
        ("two.npz", r"holds one array, this file 2 \(a, b\)"),
        ("flat.npy", "is finite, not negative and not constant"),
        ("cube.npy", r"is one map \[height, width\], not float64\[2, 2, 2\]"),
    ):
        with pytest.raises(DataError, match=sentence):
            Baseline.read(str(tmp_path / name))


def test_photographs_are_videos_of_one_frame(model: Path, tmp_path: Path) -> None:
    stills(tmp_path / "d", "val", ["x", "y", "z"])
    run = runs(model, tmp_path / "d", Options(by_time=True))[0]
    assert [v.frames for v in run.scores.videos] == [1, 1, 1]
    assert run.left_out["prediction without contrast"] == 3, "the builder's pictures are plain grey"


def test_the_papers_tables_agree_with_each_other() -> None:
    rows = {number: dict(table.rows) for number, table in TABLES.items()}
    assert [len(table) for table in rows.values()] == [5, 9, 15, 4]
    assert rows[1][("SalEMA", "no")] == rows[2][("SalEMA30", "no")]
    assert rows[1][("SalEMA", "yes")] == rows[2][("SalEMA30", "yes")]
    assert rows[1][("SalCLSTM", "yes")] == rows[3][("DHF1K", "SalCLSTM")]
    assert rows[2][("SalEMA30 (dropout)", "yes")] == rows[4][("0.1",)]
