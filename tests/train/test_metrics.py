"""The metrics against values worked out on paper and against what the benchmark's own functions print."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sal_runtime.errors import InputError
from sal_train import metrics
from sal_train.metrics import METRICS, PAPER, auc_judd, auc_shuffled, cc, information_gain, kl, nss, score_frame, sim

GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "metrics"


def golden(name: str) -> tuple[Any, dict[str, float]]:
    if not GOLDEN.is_dir():
        pytest.skip(f"the benchmark's printed values are not at {GOLDEN}")
    return np.load(GOLDEN / f"{name}.npz"), json.loads((GOLDEN / "expected.json").read_text())[name]


@pytest.mark.parametrize("name", ["continuous", "quantised"])
def test_benchmark(name: str) -> None:
    arrays, expected = golden(name)
    prediction, fixations, target = arrays["sal"], arrays["fix"], arrays["gt"]
    jittered = prediction + np.random.RandomState(42).rand(36, 64) / 1e7
    found = {
        "auc_judd": auc_judd(prediction, fixations),
        "auc_judd_jittered": auc_judd(jittered, fixations),
        "nss_ddof1": nss(prediction, fixations),
        "cc": cc(prediction, target),
        "sim": sim(prediction, target),
        "kl": kl(prediction, target),
        "ig": information_gain(prediction, fixations, arrays["base"]),
        "sauc": auc_shuffled(prediction, fixations, arrays["oth"], np.random.default_rng(0)),
    }
    assert found == pytest.approx({key: expected[key] for key in found}, abs=1e-9)


def test_a_type_does_not_change_a_value() -> None:
    arrays, expected = golden("quantised")
    prediction, target = arrays["sal"].astype(np.uint8), arrays["gt"].astype(np.uint8)
    fixations, others = arrays["fix"].astype(np.bool_), arrays["oth"].astype(np.bool_)
    rng = np.random.default_rng(0)
    scores = score_frame(prediction, fixations, target, others=others, baseline=arrays["base"], rng=rng)
    wanted = {"nss": "nss_ddof1", "cc": "cc", "sim": "sim", "kl": "kl", "ig": "ig", "auc_shuffled": "sauc"}
    assert {m: getattr(scores, m) for m in wanted} == pytest.approx(
        {m: expected[k] for m, k in wanted.items()}, abs=1e-9
    )


def test_on_paper() -> None:
    prediction = np.array([[0.0, 1.0], [2.0, 5.0]])
    target = np.array([[0.0, 0.0], [1.0, 1.0]])
    fixations = np.array([[0, 0], [0, 1]])
    # mean 2, sum of squared deviations 14, N - 1 = 3
    assert nss(prediction, fixations) == pytest.approx(3 / math.sqrt(14 / 3))
    assert cc(prediction, target) == pytest.approx(3 / math.sqrt(14 * 1))
    # shares 0 1/8 2/8 5/8 against 0 0 1/2 1/2
    assert sim(prediction, target) == pytest.approx(0.25 + 0.5)
    assert kl(prediction, target) == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(0.8))
    assert information_gain(prediction, fixations, np.array([[0.0, 1.0], [1.0, 2.0]])) == pytest.approx(
        math.log2(0.625 / 0.5)
    )
    assert auc_judd(prediction, fixations) == 1.0
    # one of three others stands above the fixated 2: from (0, 0) to (1/3, 1) and on to (1, 1)
    assert auc_judd(prediction, np.array([[0, 0], [1, 0]])) == pytest.approx(1 / 6 + 2 / 3)


def test_shuffled_auc_on_paper() -> None:
    prediction = np.linspace(0.0, 1.0, 11).reshape(1, 11) ** 1.01
    here = np.zeros((1, 11), np.bool_)
    there = here.copy()
    here[0, [9, 5]] = there[0, [5, 2]] = True
    # false positives 0 .5 1 at true positives .5 1 1: steps of .5 under mean heights .75 and 1, drawn without choice
    assert auc_shuffled(prediction, here, there, np.random.default_rng(0)) == pytest.approx(0.875)


def test_shuffled_auc_draws_as_a_shuffled_list_does() -> None:
    rng = np.random.default_rng(3)
    prediction = rng.random((20, 30))
    here, there = rng.random((20, 30)) < 0.02, rng.random((20, 30)) < 0.3
    one = auc_shuffled(prediction, here, there, np.random.default_rng(5))
    assert one == auc_shuffled(prediction, here, there, np.random.default_rng(5))
    values = (prediction - prediction.min()) / (prediction.max() - prediction.min())
    hits, pool, steps = values[here], values[there], np.arange(10, -1, -1) * 0.1
    areas = []
    for _ in range(2000):
        drawn = rng.permutation(pool)[: hits.size]
        true = [0.0, *((hits >= step).mean() for step in steps), 1.0]
        false = [0.0, *((drawn >= step).mean() for step in steps), 1.0]
        pairs = zip(true, true[1:], false, false[1:], strict=False)
        areas.append(sum((b - a) * (p + q) / 2 for p, q, a, b in pairs))
    assert one == pytest.approx(np.mean(areas), abs=5 * np.std(areas) / 10)


def test_jitter_parts_equal_values_and_is_seeded() -> None:
    prediction = np.repeat(np.arange(4.0), 25).reshape(10, 10)
    fixations = np.zeros((10, 10), np.bool_)
    fixations.flat[[20, 45, 80, 81]] = True
    first, again, other = (auc_judd(prediction, fixations, np.random.default_rng(s)) for s in (0, 0, 1))
    assert first == again != other
    assert first != auc_judd(prediction, fixations)


@pytest.mark.parametrize("value", [0.0, 0.25])
def test_a_flat_prediction_is_not_a_number(value: float) -> None:
    flat, target = np.full((4, 5), value), np.arange(20.0).reshape(4, 5)
    scores = score_frame(flat, target > 15, target, others=target > 10, baseline=target, rng=np.random.default_rng(0))
    assert all(math.isnan(value) for value in scores.as_dict().values())
    assert list(scores.as_dict()) == list(METRICS)


def test_without_fixations_only_the_densities_are_compared() -> None:
    target = np.arange(20.0).reshape(4, 5)
    none = np.zeros((4, 5), np.bool_)
    scores = score_frame(target, none, target, others=none, baseline=target, rng=np.random.default_rng(0)).as_dict()
    assert [name for name in METRICS if math.isnan(scores[name])] == ["auc_judd", "auc_shuffled", "nss", "ig"]
    assert (scores["cc"], scores["sim"]) == pytest.approx((1.0, 1.0))


def test_without_a_target_the_densities_are_left_out() -> None:
    prediction = np.arange(20.0).reshape(4, 5)
    scores = score_frame(prediction, prediction > 15, None, rng=np.random.default_rng(0), metrics=PAPER)
    assert math.isnan(scores.cc or 0.0)
    assert math.isnan(scores.sim or 0.0)
    assert scores.auc_judd == 1.0
    assert (scores.auc_shuffled, scores.kl, scores.ig) == (None, None, None)


def test_the_choice_of_metrics_does_not_change_a_value() -> None:
    rng = np.random.default_rng(0)
    prediction, here, there = rng.random((9, 9)), rng.random((9, 9)) < 0.1, rng.random((9, 9)) < 0.5
    both = score_frame(prediction, here, prediction, others=there, rng=np.random.default_rng(1))
    one = score_frame(prediction, here, None, others=there, rng=np.random.default_rng(1), metrics=["auc_shuffled"])
    assert one.as_dict() == {"auc_shuffled": both.auc_shuffled}


def test_faults_are_sentences() -> None:
    rng, map_, other = np.random.default_rng(0), np.arange(6.0).reshape(2, 3), np.ones((3, 2))
    with pytest.raises(
        InputError, match=r"^auc: no such metric; there are auc_judd, auc_shuffled, nss, cc, sim, kl, ig$"
    ):
        score_frame(map_, map_, map_, rng=rng, metrics=["auc"])
    with pytest.raises(InputError, match=r"^the prediction holds values that are not finite; the network has diverged"):
        score_frame(map_ * math.nan, map_, map_, rng=rng)
    with pytest.raises(InputError, match=r"^the prediction is \[2, 3\] and its target \[3, 2\]; resize one$"):
        cc(map_, other)
    with pytest.raises(InputError, match=r"^the map is \[2, 3\] and its fixations \[3, 2\]; resize the map$"):
        nss(map_, other)


def test_all_is_exported() -> None:
    assert all(hasattr(metrics, name) for name in metrics.__all__)
