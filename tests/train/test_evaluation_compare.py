"""Results as files, and two of them against each other: numbers that were worked out on paper."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest

from sal_runtime.errors import DataError, InputError, OutputError
from sal_runtime.vision import cv2
from sal_train.evaluation import Evaluation, Run, compare
from sal_train.evaluation.compare import interval
from sal_train.evaluation.plot import plot
from sal_train.metrics import DatasetScores, Scores, VideoScores


def evaluation(nss: dict[str, float], cc: dict[str, float], alpha: float | None = 0.1) -> Evaluation:
    videos = tuple(
        VideoScores(
            v, 2, Scores(nss=nss[v], cc=cc[v]), {m: 2 * math.isnan(x[v]) for m, x in (("nss", nss), ("cc", cc))}
        )
        for v in nss
    )
    return Evaluation(
        {"name": "salema30", "file": "a.onnx", "precision": "fp32", "imgsz": [192, 256], "engine": "some engine"},
        {"name": "DHF1K", "split": "val", "videos": len(nss), "frames": 2 * len(nss), "fingerprint": "abc"},
        {"vid_stride": 1, "metrics": ["nss", "cc"]},
        (Run(alpha, DatasetScores("salema30", videos), {"no fixation": 0}),),
        {},
    )


A = evaluation({"1": 2.0, "2": 1.0, "3": 3.0, "4": 1.5}, {"1": 0.5, "2": 0.5, "3": 0.5, "4": math.nan})
B = evaluation({"1": 1.0, "2": 1.5, "3": 1.0, "4": 1.5}, {"1": 0.25, "2": 0.5, "3": 0.75, "4": 0.5})


def test_differences_on_paper() -> None:
    nss, cc = compare(A, B).differences
    assert (nss.metric, nss.videos, nss.values) == ("nss", ("1", "2", "3", "4"), (1.0, -0.5, 2.0, 0.0))
    assert (nss.mean, nss.median, nss.wins(), nss.left_out) == (0.625, 0.5, (2, 1, 1), 0)
    assert (cc.values, cc.mean, cc.median) == ((0.25, 0.0, -0.25), 0.0, 0.0)
    assert (cc.wins(), cc.left_out) == ((1, 1, 1), 1)


def test_the_interval_is_that_of_the_paired_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(0.3, 1.0, 400)
    low, high = interval(values)
    expected = 1.96 * values.std(ddof=1) / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - expected, values.mean() + expected), abs=0.012)
    assert interval(values) == (low, high)
    assert interval(np.full(5, 0.25)) == (0.25, 0.25), "a difference that is always the same leaves no doubt"


def test_the_mean_lies_in_its_interval() -> None:
    nss, _ = compare(A, B).differences
    assert -0.5 <= nss.low < nss.mean < nss.high <= 2.0


def test_files_come_back() -> None:
    found = compare(A, B)
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert rows[1] == {"metric": "nss", "video": "2", "a": "1.0", "b": "1.5", "a_minus_b": "-0.5"}
    assert [row["metric"] for row in rows] == ["nss"] * 4 + ["cc"] * 3
    document = json.loads(found.to_json())
    assert document["a"] == "a.onnx (salema30, alpha 0.1)"
    assert document["differences"][0]["wins"] == {"a": 2, "b": 1, "neither": 1}


def test_an_evaluation_comes_back() -> None:
    text = A.to_json()
    again = Evaluation.from_json(text)
    assert again.to_json() == text
    assert again.title == "salema30 on DHF1K val"
    assert math.isnan(again.runs[0].scores.videos[3].mean.cc or 0.0)
    rows = list(csv.DictReader(io.StringIO(again.to_csv())))
    assert rows[3] == {"alpha": "0.1", "video": "4", "frames": "2", "nss": "1.5", "cc": ""}
    assert rows[5] == {"alpha": "0.1", "video": "video mean", "frames": "8", "nss": "1.875", "cc": "0.5"}


def test_what_cannot_be_compared() -> None:
    def other(**changes: object) -> Evaluation:
        return dataclasses.replace(B, dataset={**B.dataset, **changes})

    with pytest.raises(
        DataError,
        match=r"^A is of DHF1K val \(4 videos\) and B of DHF1K test \(4 videos\): not the same split; "
        r"compare evaluations of the same videos$",
    ):
        compare(A, other(split="test"))
    with pytest.raises(DataError, match=r"B of UCF val \(4 videos\): not the same videos"):
        compare(A, other(name="UCF", fingerprint="xyz"))
    compare(A, other(name="a copy that lies elsewhere"))
    with pytest.raises(DataError, match=r"A takes every 1\. frame and B every 5\.; evaluate both with the same --vid-"):
        compare(A, dataclasses.replace(B, options={**B.options, "vid_stride": 5}))
    with pytest.raises(DataError, match=r"^B: has no CC; evaluate again with --metrics cc$"):
        compare(A, dataclasses.replace(B, options={**B.options, "metrics": ["nss"]}))
    nowhere = evaluation(dict.fromkeys("1234", math.nan), dict.fromkeys("1234", 0.5))
    with pytest.raises(DataError, match="NSS is defined on no video of both; there is nothing to compare"):
        compare(A, nowhere)


def test_one_of_several_alphas() -> None:
    both = dataclasses.replace(A, runs=(*A.runs, *evaluation({"1": 9.0}, {"1": 0.1}, alpha=0.3).runs))
    with pytest.raises(DataError, match=r"^A: name one of its alphas; there are 0\.1, 0\.3$"):
        compare(both, B)
    with pytest.raises(DataError, match=r"^A: it has no alpha 0\.2; there are 0\.1, 0\.3$"):
        compare(both, B, alpha_a=0.2)
    assert compare(both, B, alpha_a=0.3).differences[0].values == (8.0,)
    rounded = dataclasses.replace(A, runs=(dataclasses.replace(A.runs[0], alpha=float(np.float32(0.1))),))
    assert compare(rounded, B, 0.1).differences == compare(A, B).differences, "a network keeps it in float32"
    assert compare(both, both, 0.1, 0.3).a == "a.onnx (salema30, alpha 0.1)"


def test_the_picture(tmp_path: Path) -> None:
    found = compare(A, B)
    plot(found, tmp_path / "fig.png")
    picture = cv2.imread(str(tmp_path / "fig.png"))
    assert picture.shape[1] == 1650
    upper = picture[: picture.shape[0] // 2]
    blue, orange = ((upper == colour).all(axis=2).sum() for colour in ((180, 119, 31), (14, 127, 255)))
    assert blue > 3 * orange > 0, "in NSS two gains of together 3 against one loss of 0.5"
    with pytest.raises(OutputError, match="exists and is kept"):
        plot(found, tmp_path / "fig.png")
    with pytest.raises(InputError, match=r"a plot ends in \.png, \.pdf, \.svg"):
        plot(found, tmp_path / "fig.gif")
    plot(found, tmp_path / "fig.pdf")
    assert (tmp_path / "fig.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["fig.pdf", "fig.png"]


def test_files_that_are_no_evaluation(tmp_path: Path) -> None:
    sentence = r": not the JSON of an evaluation \(.*\); make it again with sal-eval$"
    for text in ("{", "[]", "3", '{"sal_eval": 1}', '{"sal_eval": 1, "runs": [], "model": {}}'):
        (tmp_path / "a.json").write_text(text)
        with pytest.raises(DataError, match=rf"a\.json{sentence}"):
            Evaluation.read(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=sentence):
        Evaluation.read(tmp_path / "a.json")
    (tmp_path / "a.json").write_text('{"sal_eval": 2}')
    with pytest.raises(DataError, match=r"version 2 is not 1, the one this sal-eval reads; make it again"):
        Evaluation.read(tmp_path / "a.json")
    with pytest.raises(DataError, match=r"absent\.json: cannot be read \(No such file or directory\)"):
        Evaluation.read(tmp_path / "absent.json")
