"""``sal-eval`` as a user runs it: real processes, real files, and the sentence for everything that can be wrong."""

from __future__ import annotations

import csv
import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from halves import NSS, halves
from sal_train.checkpoint import save_checkpoint
from sal_train.evaluation import Evaluation
from sal_train.metrics import METRICS
from sal_train.models import build_network, named_config
from tiny import write_ema_artifact


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_ema_artifact(tmp_path / "model.onnx", alpha=0.25)
    return tmp_path / "model.onnx"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return halves(tmp_path / "halves", {"a": "LR", "b": "L"}, looked={"a": "LR", "b": "0"})


def sal_eval(*arguments: object, program: str | None = None) -> subprocess.CompletedProcess[str]:
    start = ["-m", "sal_train.evaluation"] if program is None else ["-c", program]
    return subprocess.run([sys.executable, *start, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def refused(folder: Path, *arguments: object) -> str:
    """Run what must fail: one sentence, exit code 2, and not a file more than before. Returns the sentence."""
    before = sorted(folder.rglob("*"))
    done = sal_eval(*arguments)
    assert done.returncode == 2, done.stderr + done.stdout
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert sorted(folder.rglob("*")) == before
    return done.stderr.removeprefix("error: ").strip()


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_table_json_and_csv(model: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "r"
    done = sal_eval(
        model, "--data", data, "--alpha", 0.25, "--alpha", 0.75, "--json", f"{out}.json", "--csv", f"{out}.csv",
        "--table", 4,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    lines = rows(done.stdout)
    assert lines[0][:4] == ["tiny-ema", "on", "halves", "val:"]
    assert lines[1] == ["alpha", "average", "over", "AUC-J", "sAUC", "NSS", "CC", "SIM", "KL", "IG"]
    assert [line[:3] for line in lines[2:6]] == [
        ["0.25", "videos", "(paper)"],
        ["0.75", "videos", "(paper)"],
        ["0.25", "frames", "(benchmark)"],
        ["0.75", "frames", "(benchmark)"],
    ]
    assert [line[5:7] for line in lines[2:6]] == [
        ["0.000", "0.500"], ["0.999", "1.000"], ["0.000", "0.333"], ["0.999", "1.000"]
    ]  # fmt: skip
    assert "frames left out: AUC-J 1, sAUC 1, NSS 1, IG 1; because: no fixation 1\n2 videos, 3 frames\n" in done.stdout
    assert (
        "Table 4 of the paper: sensitivity of SalEMA30 to alpha, on DHF1K val; ours: tiny-ema on halves val"
        in done.stdout
    )
    assert lines[-5] == ["0.1", "0.886", "0.690", "2.495", "0.450", "0.360"]
    assert [(line[0], line[3:5], line[-2:]) for line in lines[-2:]] == [
        ("0.25", ["0.000", "0.500"], ["◄", "ours"]), ("0.75", ["0.999", "1.000"], ["◄", "ours"])
    ]  # fmt: skip

    found = Evaluation.read(Path(f"{out}.json"))
    assert [run.alpha for run in found.runs] == [0.25, 0.75]
    assert found.runs[1].scores.video_mean().nss == pytest.approx(NSS)
    assert found.model["recurrences"][0]["alpha"] == 0.25, "the model's own is told too"
    assert found.options == {
        "by_time": False,
        "vid_stride": 1,
        "metrics": list(METRICS),
        "baseline": "centred Gaussian, standard deviation 0.25 of each side",
        "seed": 0,
    }
    assert {"python", "numpy"} <= found.versions.keys()
    with Path(f"{out}.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [(row["alpha"], row["video"]) for row in table[:5]] == [
        ("0.25", "a"), ("0.25", "b"), ("0.25", "frame mean"), ("0.25", "video mean"), ("0.75", "a"),
    ]  # fmt: skip
    assert table[1]["nss"] == ""
    assert sorted(p.name for p in out.parent.iterdir()) == ["r.csv", "r.json"]

    again = sal_eval("show", f"{out}.json", "--table", 4)
    assert again.stdout == done.stdout


def test_checkpoints_in_other_configurations(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(named_config("salbce"), width=1 / 16))
    save_checkpoint(network, tmp_path / "c.safetensors")
    torch.save(network.state_dict(), tmp_path / "SalBCE.pt")
    shared = ("--data", data, "--imgsz", 32, 48, "--metrics", "NSS,cc", "--config", "salema30")
    done = sal_eval(tmp_path / "c.safetensors", *shared, "--json", tmp_path / "a.json", "--table", 1)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(done.stdout)[-1][:4] == ["salema30", "?", "-", "-"]
    done = sal_eval(tmp_path / "SalBCE.pt", *shared, "--json", tmp_path / "b.json")
    assert (done.returncode, done.stderr) == (0, "")
    done = sal_eval("compare", tmp_path / "a.json", tmp_path / "b.json", "--json", tmp_path / "c.json")
    assert (done.returncode, done.stderr) == (0, "")
    assert [found["mean"] for found in json.loads((tmp_path / "c.json").read_text())["differences"]] == [0.0, 0.0]

    sentence = refused(tmp_path, tmp_path / "c.safetensors", "--data", data, "--config", "salclstm30")
    assert sentence.startswith(f"{tmp_path}/c.safetensors: as salclstm30 it lacks recurrences.30.gates.bias")


def test_compare(model: Path, data: Path, tmp_path: Path) -> None:
    for name, alpha in (("a", 0.75), ("b", 0.25)):
        sal_eval(model, "--data", data, "--alpha", alpha, "--json", tmp_path / f"{name}.json", "--metrics", "nss,cc")
    files = (tmp_path / "a.json", tmp_path / "b.json")
    done = sal_eval("compare", *files, "--plot", tmp_path / "fig.png", "--csv", tmp_path / "d.csv")
    assert (done.returncode, done.stderr) == (0, "")
    lines = rows(done.stdout)
    assert lines[0] == ["A:", "model.onnx", "(tiny-ema,", "alpha", "0.75)"]
    assert lines[3:6] == [["NSS", "CC"], ["A", "0.999", "1.000"], ["B", "0.000", "0.500"]]
    assert lines[6] == ["A", "-", "B,", "mean", "+0.999", "+0.500"]
    assert lines[-1] == ["videos", "left", "out,", "not", "defined", "there", "1", "0"]
    assert (tmp_path / "d.csv").read_text().splitlines()[0] == "metric,video,a,b,a_minus_b"
    assert (tmp_path / "fig.png").stat().st_size > 10_000

    assert "fig.png exists and is kept" in refused(tmp_path, "compare", *files, "--plot", tmp_path / "fig.png")
    assert "a plot ends in" in refused(tmp_path, "compare", *files, "--plot", tmp_path / "fig.jpg")
    assert "absent.json: cannot be read" in refused(tmp_path, "compare", files[0], tmp_path / "absent.json")
    halves(tmp_path / "other", {"a": "RL", "b": "L"})
    sal_eval(model, "--data", tmp_path / "other", "--json", tmp_path / "c.json")
    assert refused(tmp_path, "compare", files[0], tmp_path / "c.json") == (
        f"{files[0]} is of halves val (2 videos) and {tmp_path}/c.json of other val (2 videos): not the same videos; "
        "compare evaluations of the same videos"
    )


def test_wrong_arguments(model: Path, data: Path, tmp_path: Path) -> None:
    out = ("--json", tmp_path / "sub" / "out.json")
    assert refused(tmp_path, model, *out) == "say which dataset: --data DIR, the folder that holds it"
    assert refused(tmp_path, model, "--data", tmp_path / "absent", *out) == (
        f"{tmp_path}/absent: no such folder; give the one that holds the dataset"
    )
    assert refused(tmp_path, tmp_path / "no.onnx", "--data", data, *out) == (
        f"{tmp_path}/no.onnx: there is no such file; sal-export makes one"
    )
    assert refused(tmp_path, tmp_path / "no.safetensors", "--data", data, *out) == (
        f"{tmp_path}/no.safetensors: there is no such file"
    )
    assert "the paper has no table 5; choose from 1, 2, 3, 4" in refused(
        tmp_path, model, "--data", data, "--table", 5, *out
    )
    assert "--metrics nss,fid: no such metric; choose from AUC-J" in refused(
        tmp_path, model, "--data", data, "--metrics", "nss,fid", *out
    )
    assert "alpha must be above 0 and at most 1, not 0.0" in refused(
        tmp_path, model, "--data", data, "--alpha", 0, *out
    )
    assert "no split test" in refused(tmp_path, model, "--data", data, "--split", "test", *out)
    (data / "train").mkdir()
    assert "the split train is empty" in refused(tmp_path, model, "--data", data, "--split", "train", *out)


def test_what_breaks_on_the_way_leaves_nothing(model: Path, data: Path, tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text("precious")
    out = ("--json", tmp_path / "r.json", "--csv", tmp_path / "r.csv")
    assert "r.csv exists and is kept" in refused(tmp_path, model, "--data", data, *out)
    (data / "val" / "a" / "images" / "2.png").write_text("no picture")
    assert "images/2.png: is damaged or not a picture" in refused(tmp_path, model, "--data", data, *out, "--exist-ok")
    assert (tmp_path / "r.csv").read_text() == "precious"


def test_help_shows_both_ways() -> None:
    done = sal_eval("--help")
    assert done.returncode == 0
    for word in ("score", "compare", "show", "Usage: sal-eval [OPTIONS] [model]", "--data", "--alpha", "--baseline"):
        assert word in done.stdout
    done = sal_eval("compare", "--help")
    assert "--plot" in done.stdout
    assert "--data" not in done.stdout


def test_an_artifact_needs_no_torch(model: Path, data: Path) -> None:
    program = (
        "import sys\nclass Absent:\n    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in {'torch', 'safetensors', 'matplotlib'}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\nfrom sal_train.evaluation.__main__ import main\nmain()\n"
    )
    done = sal_eval(model, "--data", data, program=program)
    assert (done.returncode, done.stderr) == (0, "")
    done = sal_eval("c.safetensors", "--data", data, program=program)
    assert done.returncode == 2
    assert done.stderr.startswith("error: torch is not installed: pip install 'sal-edge[train]'")
    assert done.stderr.count("\n") == 1
    done = sal_eval("compare", "a.json", "b.json", "--plot", "fig.png", program=program)
    assert done.stderr.startswith("error: matplotlib is not installed: pip install 'sal-edge[train]'")
