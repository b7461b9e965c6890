"""The contest: real worker processes, those that fail among them, and a small network through every engine there is."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sal_bench.peers.contest import PeerOptions, agreement, best_plain, measure_peers
from sal_bench.peers.contestants import CONTESTANTS, REFERENCE, Contestant, chosen
from sal_bench.peers.group import Lost, Worker
from sal_runtime.errors import BackendError, InputError
from sal_train.models import NetworkConfig, RecurrenceConfig, RecurrentNetwork, build_network
from tiny import grey, write_clip

ROOM = PeerOptions(32, 48, threads=1, frames=12, rounds=6, warm_up=0.0, accuracy_frames=5, parity_frames=3, limit=60.0)


def contestant(name: str, opens: str = "well", **options: object) -> Contestant:
    return Contestant(name, "plain", "fp32", f"unwell_contestants:{opens}", "network", dict(options))


@pytest.fixture
def frames(tmp_path: Path) -> Path:
    np.save(tmp_path / "frames.npy", np.stack([grey(0), grey(255), grey(255)]))
    return tmp_path / "frames.npy"


@pytest.fixture
def worker(frames: Path, request: pytest.FixtureRequest) -> Iterator[Worker]:
    given = Worker(request.param, Path("unused"), frames, None, limit=30.0)
    yield given
    given.close()


@pytest.fixture
def network() -> RecurrentNetwork:
    config = NetworkConfig("small", (RecurrenceConfig("ema", 30, alpha=0.5),), width=0.05)
    return build_network(config).eval()


@pytest.mark.parametrize("worker", [contestant("good")], indirect=True)
def test_a_worker_does_what_it_is_told(worker: Worker) -> None:
    assert worker.opened() == "paper 1"
    assert worker.ask("warm", 0.0)["frames"] == 24
    turn = worker.ask("turn", 4)
    assert len(turn["samples"]) == 4
    maps = worker.ask("maps", 3)
    assert maps[:, 0, 0].tolist() == [0.0, 0.5, 0.75], "from a fresh state, whatever was stepped before"


@pytest.mark.parametrize("worker", [contestant("killed")], indirect=True)
def test_a_worker_that_is_killed_is_reported(worker: Worker) -> None:
    worker.opened()
    assert worker.pid is not None
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(Lost, match="its process was ended by signal SIGKILL"):
        worker.ask("turn", 4)


@pytest.mark.parametrize("worker", [contestant("failing", fails=True)], indirect=True)
def test_a_worker_whose_engine_refuses_says_so(worker: Worker) -> None:
    worker.opened()
    with pytest.raises(Lost, match=r"^the engine refused$"):
        worker.ask("turn", 1)


@pytest.mark.parametrize("worker", [contestant("absent", "refuses")], indirect=True)
def test_what_is_not_installed_is_named(worker: Worker) -> None:
    with pytest.raises(Lost, match=r"^fast_engine is not installed$"):
        worker.opened()


def test_a_worker_that_hangs_is_ended(frames: Path) -> None:
    worker = Worker(contestant("hanging", sleep=600.0), Path("unused"), frames, None, limit=30.0)
    worker.opened()
    worker._limit = 0.2
    with pytest.raises(Lost, match=r"the command 'turn' took more than 0\.2 s, so its process was ended"):
        worker.ask("turn", 1)
    assert worker.pid is not None
    assert not Path(f"/proc/{worker.pid}").exists() or not worker._process.is_alive()


def test_the_contest_goes_on_without_those_who_fail(network: RecurrentNetwork, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", frames=6)
    options = PeerOptions(**{**vars(ROOM), "source": str(clip)})
    some = (
        *chosen([REFERENCE]),
        contestant("absent", "refuses"),
        contestant("failing", fails=True),
        Contestant("no such artifact", "ours", "int8", "unwell_contestants:well", "no-such-material"),
        *chosen(["plain onnxruntime", "ours fp32 onnxruntime"]),
    )
    origin: dict[str, object] = {"random_weights": True, "seed": 0}
    report = measure_peers(network, origin, options, some)
    assert [run.name for run in report.runs] == [
        REFERENCE, "plain onnxruntime fp32", "plain onnxruntime int8", "ours fp32 onnxruntime"
    ]  # fmt: skip
    assert {entry.name: entry.reason for entry in report.absent} == {
        "absent": "fast_engine is not installed",
        "failing": "in warming up: the engine refused",
        "no such artifact": "'no-such-material'",
    }
    eager, plain, int8, ours = report.runs
    assert eager.accuracy is not None
    assert eager.accuracy["min_cc"] == 1.0
    for run in (plain, ours):
        assert run.accuracy is not None
        assert run.accuracy["min_cc"] > 0.9999, "the same weights, the same frames, each with its own state"
    assert int8.accuracy is not None
    assert ours.parity is not None
    assert ours.parity["frames"] == 3
    assert best_plain(report.runs, "fp32") is plain
    assert report.options["comparisons"][0]["ratios"][0]["against"] == plain.name
    assert any("RANDOM weights" in warning for warning in report.warnings)
    order = sorted((turn.began, run.name) for run in report.runs for turn in run.rounds)
    assert [name for _, name in order[:8]] == [run.name for run in (eager, plain, int8, ours, ours, int8, plain, eager)]


def test_openvinos_own_quantiser_takes_part(network: RecurrentNetwork, tmp_path: Path) -> None:
    pytest.importorskip("nncf", reason="a peer, and no dependency of ours: pip install nncf")
    options = PeerOptions(**{**vars(ROOM), "source": str(write_clip(tmp_path / "clip.avi", frames=6))})
    report = measure_peers(network, {}, options, chosen([REFERENCE, "nncf"]))
    assert [entry.reason for entry in report.absent] == []
    ours = report.run("plain openvino nncf int8")
    assert ours.accuracy is not None
    assert ours.accuracy["frames"] == 5
    assert ours.settings["note"] == "quantised by nncf.quantize with its defaults"


def test_nobody_there_is_an_error(network: RecurrentNetwork, tmp_path: Path) -> None:
    options = PeerOptions(**{**vars(ROOM), "source": str(write_clip(tmp_path / "clip.avi", frames=6))})
    with pytest.raises(BackendError, match=r"no contestant could run \(absent: fast_engine is not installed\)"):
        measure_peers(network, {}, options, (contestant("absent", "refuses"),))


def test_agreement_names_the_worst_frame() -> None:
    ramp = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    reference = np.concatenate([ramp, ramp, np.zeros_like(ramp)])
    maps = np.concatenate([2 * ramp, -ramp, np.zeros_like(ramp)])
    found = agreement(maps, reference, "paper")
    assert (found["min_cc"], found["worst_frame"], found["mean_cc"]) == (-1.0, 1, pytest.approx(1 / 3))
    assert found["max_error"] == 10.0


def test_contestants_are_chosen_by_name() -> None:
    assert chosen([]) == CONTESTANTS
    assert [c.name for c in chosen(["int8"])] == [c.name for c in CONTESTANTS if c.precision == "int8"]
    assert len({c.name for c in CONTESTANTS}) == len(CONTESTANTS)
    with pytest.raises(InputError, match="no contestant is called 'nobody'"):
        chosen(["nobody"])
