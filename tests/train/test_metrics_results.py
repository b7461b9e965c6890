"""Averages over frames and videos, their files, and the pool."""

import csv
import io
import json
import math

import numpy as np
import pytest

from sal_runtime.errors import DataError
from sal_train.metrics import DatasetScores, OtherFixations, Scores, VideoScores, score_frame, score_frames
from sal_train.metrics.score import FrameArrays
from sal_train.seeds import generator

LONG = VideoScores.of("long", [Scores(nss=1.0, cc=0.5), Scores(nss=2.0, cc=0.5), Scores(nss=math.nan, cc=0.5)])
SHORT = VideoScores.of("short", [Scores(nss=6.0, cc=math.nan)])
BOTH = DatasetScores("salema30 on val", (LONG, SHORT))


def test_means_on_paper() -> None:
    assert (LONG.mean, LONG.left_out) == (Scores(nss=1.5, cc=0.5), {"nss": 1, "cc": 0})
    assert BOTH.frame_mean() == Scores(nss=3.0, cc=0.5)
    assert BOTH.video_mean() == Scores(nss=3.75, cc=0.5)
    assert BOTH.left_out() == {"nss": 1, "cc": 1}
    assert BOTH.frames == 4


def test_rows_and_csv() -> None:
    assert [row["video"] for row in BOTH.rows()] == ["long", "short", "frame mean", "video mean"]
    rows = list(csv.DictReader(io.StringIO(BOTH.to_csv())))
    assert rows[1] == {"video": "short", "frames": "1", "nss": "6.0", "cc": ""}
    assert rows[3] == {"video": "video mean", "frames": "4", "nss": "3.75", "cc": "0.5"}


def test_json_comes_back() -> None:
    text = BOTH.to_json()
    assert json.loads(text)["videos"][1]["mean"] == {"nss": 6.0, "cc": None}
    back = DatasetScores.from_json(text)
    assert back.to_json() == text
    assert back.video_mean() == BOTH.video_mean()


def test_a_file_that_is_no_result() -> None:
    for text in ("{", "[]", '{"name": "x"}'):
        with pytest.raises(
            DataError, match=r"^a\.json: not the JSON of an evaluation \(.*\); make it again with sal-eval$"
        ):
            DatasetScores.from_json(text, "a.json")


def test_nothing_defined_is_not_a_number() -> None:
    none = DatasetScores("none", (VideoScores.of("a", [Scores(nss=math.nan)]),))
    assert math.isnan(none.frame_mean().nss or 0.0)
    assert math.isnan(none.video_mean().nss or 0.0)


def test_the_pool_gives_what_one_thread_gives() -> None:
    rng = np.random.default_rng(0)
    others = rng.random((36, 64)) < 0.1

    def load(number: int) -> FrameArrays:
        own = np.random.default_rng(number)
        return own.integers(0, 9, (9, 16)) / 9, own.random((36, 64)) < 0.02, own.random((36, 64))

    def frames(count: int) -> list[Scores]:
        calls = [lambda number=number: load(number) for number in range(20)]
        return score_frames(calls, others=others, seed=3, place=(7,), workers=count)

    alone = [score_frame(*load(n), others=others, rng=generator(3, 7, n)) for n in range(20)]
    assert frames(1) == frames(2) == frames(5) == alone


def test_a_fault_in_the_pool_comes_out() -> None:
    def broken() -> FrameArrays:
        raise DataError("0003.png: is damaged")

    with pytest.raises(DataError, match=r"0003\.png"):
        score_frames([broken] * 50, workers=2)


class Fixations:
    """Clips whose frame k has its one fixation at column k."""

    def __init__(self, frames: int, row: int) -> None:
        self.frames, self.row = frames, row

    def fixations(self, index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        mask = np.zeros((4, 8), np.bool_)
        mask[self.row, index] = True
        return mask


def test_other_fixations_are_the_union_of_ten_frames() -> None:
    others = OtherFixations([Fixations(8, 0), Fixations(3, 1), Fixations(8, 3)], seed=1)
    union = others.union(4, 8, 0)
    assert union.sum() == 10
    assert np.array_equal(union, others.union(4, 8, 0))
    assert not np.array_equal(union, others.union(4, 8, 1))
    assert others.union(8, 16, 0)[1::2, 1::2].sum() == 10


def test_other_fixations_of_a_small_set_are_all_of_them() -> None:
    union = OtherFixations([Fixations(2, 0), Fixations(1, 2)]).union(4, 8, 0)
    assert [tuple(map(int, at)) for at in np.argwhere(union)] == [(0, 0), (0, 1), (2, 0)]
