"""What samples can claim, worked out on paper."""

from __future__ import annotations

import pytest

from sal_bench.alternate import order, shares
from sal_bench.ratios import independent_ratio, paired_ratio
from sal_bench.samples import Latency, nearest_rank
from sal_bench.warmup import warm_up
from sal_runtime.errors import InputError


def test_percentiles_are_samples() -> None:
    latency = Latency.of([float(value) for value in range(100, 0, -1)])
    assert (latency.n, latency.p50, latency.mean, latency.max) == (100, 50.5, 50.5, 100.0)
    assert (latency.p90, latency.p95, latency.p99) == (90.0, 95.0, 99.0)
    assert nearest_rank([3.0, 1.0, 2.0], 0.90) == 3.0
    assert nearest_rank([float(i) for i in range(1, 21)], 0.95) == 19.0, "0.95 * 20 is 19, whatever binary makes of it"
    assert Latency.of([7.0]).p99 == 7.0


def test_a_tail_is_claimed_from_enough_samples_only() -> None:
    claims = {n: Latency.of([1.0] * n) for n in (63, 64, 661, 662)}
    assert [claims[n].claims_p90 for n in (63, 64)] == [False, True]
    assert [claims[n].claims_p99 for n in (661, 662)] == [False, True]


def test_no_samples_is_a_sentence() -> None:
    with pytest.raises(InputError, match="no frame was timed"):
        Latency.of([])


def test_a_ratio_of_alternating_rounds_ignores_what_hits_both() -> None:
    own = [10.0, 20.0, 10.0, 40.0, 10.0, 15.0]
    ratio = paired_ratio("a", own, "b", [2 * value for value in own])
    assert (ratio.ratio, ratio.low, ratio.high, ratio.verdict) == (2.0, 2.0, 2.0, "faster")
    assert paired_ratio("a", own, "b", own).verdict == "undecided"
    assert paired_ratio("a", own[:5], "b", [2 * value for value in own[:5]]).verdict == "undecided", "five rounds"


def test_resampling_is_the_same_every_time_and_holds_the_ratio() -> None:
    own, other = [10.0, 11.0, 9.0, 10.5, 9.5, 10.0, 10.2], [12.0, 13.0, 11.5, 12.5, 12.2, 11.9, 12.1]
    first, again = (independent_ratio("b", other, "a", own) for _ in range(2))
    assert first == again
    assert first.ratio == pytest.approx(10.0 / 12.1)
    assert 9.0 / 13.0 <= first.low < first.ratio < first.high <= 11.0 / 11.5
    assert (first.verdict, independent_ratio("a", own, "b", other).verdict) == ("slower", "faster")
    wide = independent_ratio("b", [5.0, 20.0, 9.0, 14.0, 7.0, 11.0], "a", [10.0, 6.0, 18.0, 9.0, 12.0, 8.0])
    assert wide.verdict == "undecided"


def test_turns_go_forth_and_back() -> None:
    assert ["".join(order("ABC", number)) for number in range(4)] == ["ABC", "CBA", "ABC", "CBA"]
    assert shares(700, 10) == [70] * 10
    assert shares(10, 4) == [3, 3, 2, 2]


class _Steps:
    """A clock on which the n-th step takes what is told."""

    def __init__(self, seconds: list[float]) -> None:
        self._left, self._now = seconds, 0.0

    def now(self) -> float:
        return self._now

    def wait_until(self, moment: float) -> None:
        self._now = max(self._now, moment)

    def step(self) -> None:
        self._now += self._left.pop(0) if len(self._left) > 1 else self._left[0]


def test_warming_up_goes_on_until_the_windows_agree() -> None:
    # Windows of eight: medians 4, 2, 1, 1, 1: the last three agree after the fifth.
    clock = _Steps([4.0] * 8 + [2.0] * 8 + [1.0])
    warm = warm_up(clock.step, clock, seconds=5.0)
    assert (warm.frames, warm.seconds, warm.stable, warm.spread) == (40, 72.0, True, 0.0)


def test_warming_up_ends_where_nothing_becomes_steady() -> None:
    clock = _Steps([1.0 + (i // 8) % 2 for i in range(4000)])
    warm = warm_up(clock.step, clock, seconds=5.0)
    assert not warm.stable
    assert warm.spread == 1.0
    assert 100.0 <= warm.seconds <= 120.0, "twenty times the least time, and the window then begun"
