"""Contestants take turns: A B, B A, A B …, so that a slow minute of the machine falls on all of them alike.

Garbage is collected before each turn and the collector is off during it. A few untimed steps come first, since the
others have just used the caches and their threads may still spin.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from sal_bench.clock import Clock
from sal_bench.probes import between
from sal_bench.report import Round
from sal_bench.scenarios import Scenario
from sal_bench.sensors import Sensors

SETTLE = 3
"""Untimed steps before each turn."""
HOW = "collected before each turn, off during it"
"""What the report says of Python's garbage collector."""

_Any = TypeVar("_Any")


@dataclass
class Entry:
    """A scenario and the turns it has had."""

    scenario: Scenario
    rounds: list[Round] = field(default_factory=list)


def order(contestants: Sequence[_Any], number: int) -> list[_Any]:
    """Who is when in round ``number``, from 0: forth, then back, in turn."""
    return list(contestants) if number % 2 == 0 else list(reversed(contestants))


def shares(total: int, rounds: int) -> list[int]:
    """``total`` samples over ``rounds``, as evenly as whole numbers allow, at least one each."""
    return [max(1, total // rounds + (number < total % rounds)) for number in range(rounds)]


def alternate(
    entries: Sequence[Entry],
    samples: int,
    rounds: int,
    clock: Clock,
    sensors: Sensors,
    on_turn: Callable[[], None] = lambda: None,
) -> None:
    """Let every entry take ``samples`` in all, in ``rounds`` turns; its ``rounds`` are filled."""
    began = clock.now()
    for number, share in enumerate(shares(samples, rounds)):
        for entry in order(entries, number):
            entry.rounds.append(_turn(entry.scenario, share, began, clock, sensors))
            on_turn()


def _turn(scenario: Scenario, share: int, began: float, clock: Clock, sensors: Sensors) -> Round:
    with quiet_collector():
        for _ in range(SETTLE):
            scenario.step()
        before, start = sensors.read(), clock.now()
        turn = scenario.turn(share)
        probes = between(before, sensors.read())
    stages = {name: tuple(values) for name, values in turn.stages.items()}
    return Round(round(start - began, 4), turn.seconds, tuple(turn.samples), stages, turn.dropped, turn.late, probes)


@contextlib.contextmanager
def quiet_collector() -> Iterator[None]:
    """Collect garbage, then keep the collector off within the block."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
