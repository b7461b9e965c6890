"""TensorRT's stream on a device of NumPy arrays: the order of copies and swaps, restarts, errors in the middle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from numpy_device import NumpyQueue, OnnxOnNumpy
from sal_runtime.backends.tensorrt_stream import TensorRtStream
from sal_runtime.errors import BackendError, InputError
from sal_runtime.session import Session
from tiny import grey, write_ema_artifact

GRAPHS = pytest.mark.parametrize("graphs", [True, False], ids=["graphs", "no graphs"])


@dataclass
class Rig:
    queue: NumpyQueue
    execution: OnnxOnNumpy
    stream: TensorRtStream
    session: Session


def rig(
    tmp_path: Path, *, graphs: bool = True, batch: int = 1, capturable: bool = True, has: bool = True, refuses: str = ""
) -> Rig:
    manifest = write_ema_artifact(tmp_path / "half.onnx", alpha=0.5, batch=batch)
    queue = NumpyQueue(graphs=has, capturable=capturable)
    execution = OnnxOnNumpy(tmp_path / "half.onnx", queue, batch)
    execution.refuses_capture = refuses
    stream = TensorRtStream(queue, execution, manifest, batch, graphs=graphs)
    return Rig(queue, execution, stream, Session(stream, manifest, batch))


def corners(maps: object) -> list[float]:
    return [float(m) for m in np.asarray(maps)[:, 0, 0]]


@GRAPHS
def test_equation_6(tmp_path: Path, graphs: bool) -> None:
    session = rig(tmp_path, graphs=graphs).session
    assert corners([session.step(grey(v)) for v in (0, 255, 255, 0)]) == pytest.approx([0.0, 0.5, 0.75, 0.375])


@GRAPHS
def test_the_two_buffers_swap_at_every_step_and_no_step_reads_where_it_writes(tmp_path: Path, graphs: bool) -> None:
    own = rig(tmp_path, graphs=graphs)
    own.execution.directions.clear()
    for _ in range(4):
        own.session.step(grey(255))
    (first, second), *others = own.execution.directions
    assert first != second
    assert others == [(second, first), (first, second), (second, first)]


@GRAPHS
def test_a_step_uploads_picture_and_carry_runs_downloads_the_map_and_nothing_else(tmp_path: Path, graphs: bool) -> None:
    own = rig(tmp_path, graphs=graphs)
    own.queue.done.clear()
    own.queue.moved.update(up=0, down=0)
    before = own.queue.allocations
    for _ in range(10):
        own.session.step(grey(255))
    assert own.queue.done == ["up", "up", "run", "down"] * 10
    assert own.queue.moved == {"up": 10 * (16 * 32 * 3 + 4), "down": 10 * 16 * 32 * 4}, "the state stays where it is"
    assert own.queue.allocations == before
    assert own.queue.launches == (10 if graphs else 0)


@GRAPHS
def test_one_slot_restarts_and_the_other_goes_on(tmp_path: Path, graphs: bool) -> None:
    session = rig(tmp_path, graphs=graphs, batch=2).session
    session.step_batch([grey(0), grey(0)])
    assert corners(session.step_batch([grey(255), grey(255)])) == pytest.approx([0.5, 0.5])
    session.reset(1)
    assert corners(session.step_batch([grey(0), grey(255)])) == pytest.approx([0.25, 1.0])
    assert session.last is not None
    assert session.last.restarts == (None, "asked")


@pytest.mark.parametrize(("graphs", "when"), [(False, "enqueue"), (False, "running"), (True, "running")])
def test_after_an_error_in_the_middle_the_state_is_as_it_was(tmp_path: Path, graphs: bool, when: str) -> None:
    own = rig(tmp_path, graphs=graphs)
    own.session.step(grey(0))
    own.session.step(grey(255))
    own.execution.fails = when
    with pytest.raises(BackendError, match=r"the engine refused|an illegal address"):
        own.session.step(grey(255))
    own.queue._waiting.clear()  # what a real device drops with the error
    assert own.session.steps == 2
    assert float(own.session.step(grey(255))[0, 0]) == pytest.approx(0.75), "as if the failed step had not been"


def test_recording_leaves_no_trace_in_the_state(tmp_path: Path) -> None:
    own = rig(tmp_path)
    assert own.stream.without_graphs == ""
    assert [float(np.abs(state).max()) for state in own.stream.snapshot()] == [0.0]
    own.stream.step(grey(255)[None], np.ones((1, 1), np.float32))
    assert [float(state.max()) for state in own.stream.snapshot()] == [0.0], "carry 1 keeps nothing but the zero state"


def test_an_engine_that_cannot_be_captured_runs_without_graphs_and_says_so(tmp_path: Path) -> None:
    own = rig(tmp_path, capturable=False)
    assert own.stream.without_graphs == "a CUDA graph cannot be captured: this engine waits for the host"
    assert corners([own.session.step(grey(v)) for v in (0, 255, 255)]) == pytest.approx([0.0, 0.5, 0.75])
    assert own.queue.launches == 0
    assert rig(tmp_path, has=False).stream.without_graphs == "numpy"


def test_an_engine_that_knows_it_cannot_be_captured_is_not_tried(tmp_path: Path) -> None:
    own = rig(tmp_path, refuses="this engine asks for memory while it runs")
    assert own.stream.without_graphs == "this engine asks for memory while it runs"
    assert own.execution.directions == [], "nothing was run to prepare a capture"
    assert corners([own.session.step(grey(v)) for v in (0, 255)]) == pytest.approx([0.0, 0.5])


@GRAPHS
def test_snapshot_and_restore(tmp_path: Path, graphs: bool) -> None:
    own = rig(tmp_path, graphs=graphs)
    for value in (0, 255, 255):
        own.session.step(grey(value))
    kept = own.session.snapshot()
    ahead = [own.session.step(grey(v)) for v in (0, 255)]
    own.session.restore(kept)
    again = [own.session.step(grey(v)) for v in (0, 255)]
    assert corners(again) == corners(ahead)
    other = rig(tmp_path, graphs=not graphs).session
    other.restore(kept)
    assert corners([other.step(grey(v)) for v in (0, 255)]) == corners(ahead)


def test_closing_releases_the_context_before_the_memory(tmp_path: Path) -> None:
    own = rig(tmp_path)
    own.session.step(grey(1))
    own.session.close()
    assert own.execution.closed
    assert own.queue.closed
    assert own.queue.memory == {}
    own.session.close()
    for late in (lambda: own.stream.step(grey(1)[None], np.ones((1, 1), np.float32)), own.stream.snapshot):
        with pytest.raises(InputError, match="this stream has been closed; start another"):
            late()
