"""Threading state through time, on an artifact whose values are worked out by hand."""

import resource
import threading
from pathlib import Path

import numpy as np
import pytest

from sal_runtime import Engine, Session, Snapshot
from sal_runtime.errors import InputError, StateError
from tiny import grey, write_ema_artifact


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    write_ema_artifact(tmp_path / "half.onnx", alpha=0.5)
    return tmp_path / "half.onnx"


def value(session: Session, brightness: int, timestamp: float | None = None) -> float:
    """The map of a uniform frame is uniform; its value."""
    saliency = session.step(grey(brightness), timestamp)
    assert saliency.shape == (16, 32)
    assert np.ptp(saliency) == 0.0
    return float(saliency[0, 0])


def restart(session: Session) -> str | None:
    assert session.last is not None
    return session.last.restarts[0]


def test_equation_6(artifact: Path) -> None:
    """alpha = 0.5: the first frame as it is, then halves: 0 -> 0.5 -> 0.75 -> 0.375."""
    session = Engine.open(artifact).stream()
    assert [value(session, v) for v in (0, 255, 255, 0)] == pytest.approx([0.0, 0.5, 0.75, 0.375])


def test_a_first_frame_is_not_mixed(artifact: Path) -> None:
    session = Engine.open(artifact).stream()
    assert value(session, 255) == 1.0
    assert restart(session) == "start"
    assert value(session, 255) == 1.0
    assert restart(session) is None


def test_time_not_frames_decides_how_much_is_kept(artifact: Path) -> None:
    """Two reference intervals: carry 0.25, so 1 is left with 0.25 after a black frame."""
    session = Engine.open(artifact).stream()
    value(session, 255, 10.0)
    assert value(session, 0, 10.0 + 2 / 30) == pytest.approx(0.25)
    assert session.last is not None
    assert session.last.carry == pytest.approx((0.25,))


def test_streams_share_the_engine_and_not_the_state(artifact: Path) -> None:
    engine = Engine.open(artifact)
    left, right = engine.stream(), engine.stream()
    value(left, 255)
    value(right, 0)
    assert value(left, 255) == 1.0
    assert value(right, 0) == 0.0


def test_restarts(artifact: Path) -> None:
    session = Engine.open(artifact).stream(max_gap=1.0)
    value(session, 255, 0.0)
    assert value(session, 0, 1.5) == 0.0
    assert restart(session) == "gap"
    value(session, 255, 1.6)
    assert value(session, 0, 0.2) == 0.0, "a clock that goes back is a new recording"
    assert restart(session) == "gap"
    session.reset()
    assert value(session, 255, 0.3) == 1.0
    assert restart(session) == "asked"
    session.step(grey(0, 48, 64), 0.4)
    assert restart(session) == "size"


def test_a_hard_cut_begins_anew_and_motion_does_not(artifact: Path) -> None:
    noise = np.random.default_rng(0)
    first, second = (noise.integers(0, 256, (3, 4, 3), np.uint8).repeat(32, 0).repeat(32, 1) for _ in range(2))
    session = Engine.open(artifact).stream(detect_cuts=True)
    seen = []
    for picture in (first, np.roll(first, 2, 1), np.roll(first, 4, 1), second, np.roll(second, 2, 1)):
        session.step(picture)
        seen.append(restart(session))
    assert seen == ["start", None, None, "cut", None]


def test_what_always_changes_is_not_cut_at_every_frame(artifact: Path) -> None:
    session = Engine.open(artifact).stream(detect_cuts=True)
    for number in range(6):
        session.step(grey(45 * number))
        assert restart(session) in (None, "start")


def test_a_snapshot_knows_the_shot_it_was_taken_in(artifact: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    first, second = (noise.integers(0, 256, (3, 4, 3), np.uint8).repeat(32, 0).repeat(32, 1) for _ in range(2))
    session = Engine.open(artifact).stream(detect_cuts=True)
    for _ in range(3):
        session.step(first)
    session.snapshot().save(str(tmp_path / "s.npz"))
    session.step(second)
    assert restart(session) == "cut"
    again = Engine.open(artifact).stream(detect_cuts=True)
    again.restore(Snapshot.load(str(tmp_path / "s.npz")))
    again.step(second)
    assert restart(again) == "cut"


def test_alpha_is_tuned_while_running(artifact: Path) -> None:
    session = Engine.open(artifact).stream(alpha=0.25)
    value(session, 0)
    assert value(session, 255) == pytest.approx(0.25)
    session.alpha = 1.0
    assert value(session, 0) == 0.0
    with pytest.raises(InputError, match=r"alpha must be above 0 and at most 1, not 1\.5"):
        session.alpha = 1.5
    with pytest.raises(InputError, match="a timestamp is a number of seconds, not nan"):
        session.step(grey(0), float("nan"))
    with pytest.raises(InputError, match="alpha must be above 0 and at most 1, not 0"):
        Engine.open(artifact).stream(alpha=0.0)


def test_slots_of_a_batch_are_independent(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "any.onnx", alpha=0.5, batch=-1)
    session = Engine.open(tmp_path / "any.onnx").stream(batch=3)
    session.step_batch([grey(255), grey(0), grey(255)])
    session.reset(slot=2)
    saliency = session.step_batch([grey(0), grey(255), grey(0)])
    assert saliency[:, 0, 0].tolist() == pytest.approx([0.5, 0.5, 0.0])
    with pytest.raises(InputError, match="steps 3 frames together"):
        session.step(grey(0))
    with pytest.raises(InputError, match="3 slots take as many frames and timestamps, not 1 and 3"):
        session.step_batch([grey(0)])


def test_a_fixed_batch_is_what_it_is(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "two.onnx", batch=2)
    engine = Engine.open(tmp_path / "two.onnx")
    assert engine.stream().batch == 2
    with pytest.raises(InputError, match="a batch of 3 was asked for, the artifact takes 2"):
        engine.stream(batch=3)


def test_a_snapshot_goes_on_with_the_same_maps(artifact: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(1)
    frames = noise.integers(0, 256, (6, 16, 32, 3), np.uint8)
    session = Engine.open(artifact).stream()
    for index in range(3):
        session.step(frames[index], index / 10)
    session.snapshot().save(tmp_path / "state.npz")
    through = [session.step(frames[index], index / 10) for index in range(3, 6)]

    again = Engine.open(artifact).stream()
    again.restore(Snapshot.load(tmp_path / "state.npz"))
    resumed = [again.step(frames[index], index / 10) for index in range(3, 6)]
    assert np.array_equal(through, resumed)


def test_a_snapshot_of_another_model_is_refused(artifact: Path, tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "wide.onnx", size=(16, 48))
    snapshot = Engine.open(artifact).stream().snapshot()
    with pytest.raises(StateError, match="of another model than this tiny-ema"):
        Engine.open(tmp_path / "wide.onnx").stream().restore(snapshot)
    (tmp_path / "broken.npz").write_bytes(b"PK nonsense")
    with pytest.raises(StateError, match=r"broken\.npz: not a state that --save-state kept, or damaged"):
        Snapshot.load(tmp_path / "broken.npz")
    with pytest.raises(StateError, match=r"absent\.npz: there is no such file"):
        Snapshot.load(tmp_path / "absent.npz")


def test_a_poisoned_state_is_noticed_and_left_behind(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "log.onnx", poison=True)
    session = Engine.open(tmp_path / "log.onnx").stream()
    session.step(grey(255))
    with pytest.raises(StateError, match="no longer finite at step 2"):
        session.step(grey(0))
    assert value(session, 255) == 1.0, "0 * infinity must not keep the poison"


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (np.zeros((16, 32), np.uint8), r"not uint8\[16, 32\]"),
        (np.zeros((16, 32, 3), np.float32), r"not float32\[16, 32, 3\]"),
        (np.zeros((0, 32, 3), np.uint8), r"not uint8\[0, 32, 3\]"),
        (None, "not NoneType"),
    ],
)
def test_what_is_not_a_frame_is_refused(artifact: Path, frame: object, sentence: str) -> None:
    session = Engine.open(artifact).stream()
    with pytest.raises(InputError, match=rf"a frame is uint8 \[height, width, 3\] in BGR order, {sentence}"):
        session.step(frame)  # type: ignore[arg-type]


def test_the_returned_map_is_the_callers(artifact: Path) -> None:
    session = Engine.open(artifact).stream()
    first = session.step(grey(255))
    session.step(grey(0))
    assert float(first.max()) == 1.0


def test_memory_stays_flat_over_ten_thousand_steps(artifact: Path) -> None:
    session = Engine.open(artifact).stream(detect_cuts=True)
    frame = np.random.default_rng(2).integers(0, 256, (48, 64, 3), np.uint8)
    for _ in range(500):
        session.step(frame)
    before = resident_bytes()
    for _ in range(10_000):
        session.step(frame)
    assert resident_bytes() - before < 5e6


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def test_an_engine_that_is_closed_takes_its_streams_along(artifact: Path) -> None:
    with Engine.open(artifact) as engine:
        left, right = engine.stream(), engine.stream()
        value(left, 255)
        left.close()
        left.close()
        assert value(right, 255) == pytest.approx(1.0), "the other goes on"
        with pytest.raises(InputError, match="this session has been closed; start another stream"):
            left.step(grey(0))
    with pytest.raises(InputError, match="this session has been closed"):
        right.step(grey(0))


def test_closing_waits_for_the_step_under_way_in_another_thread(artifact: Path) -> None:
    refused: list[str] = []
    engine = Engine.open(artifact)
    session, started = engine.stream(), threading.Event()

    def camera() -> None:
        try:
            while True:
                session.step(grey(255))
                started.set()
        except InputError as exc:
            refused.append(str(exc))

    thread = threading.Thread(target=camera)
    thread.start()
    assert started.wait(10)
    engine.close()
    thread.join(10)
    assert refused == ["this session has been closed; start another stream"]
