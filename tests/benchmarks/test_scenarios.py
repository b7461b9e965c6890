"""The scenarios on a clock of paper, the sensors on files of paper, and the command as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sal_bench.footage import Clip, Held, held
from sal_bench.machine import fingerprint, load_warnings
from sal_bench.measure import Options, measure
from sal_bench.probes import PowerCap, Processor, Reading, between
from sal_bench.scenarios import ArrivingStream, ManyStreams, Single
from sal_bench.tegra import TegraStats
from sal_runtime.engine import Engine
from sal_runtime.errors import InputError
from tiny import grey, write_clip, write_ema_artifact


class PaperClock:
    """Stands still but for what is waited for and what :meth:`spend` takes."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        return self.time

    def wait_until(self, moment: float) -> None:
        self.time = max(self.time, moment)


class _Slow:
    """A real engine whose every step moves the paper clock on."""

    def __init__(self, engine: Engine, clock: PaperClock, seconds: float) -> None:
        self.manifest, self._engine, self._clock, self._seconds = engine.manifest, engine, clock, seconds

    def stream(self, batch: int) -> Any:
        session = self._engine.stream(batch)
        step = session.step

        def slow(frame: Any, timestamp: float | None = None) -> Any:
            self._clock.time += self._seconds
            return step(frame, timestamp)

        session.step = slow  # type: ignore[method-assign]
        return session


@pytest.fixture
def engine(tmp_path: Path) -> Engine:
    write_ema_artifact(tmp_path / "model.onnx", alpha=0.5)
    return Engine.open(tmp_path / "model.onnx", backend="onnxruntime")


PICTURES = Held([grey(10), grey(20), grey(30)], "grey")


def stream_of(engine: Engine, seconds: float, rate: float, deadline: float | None = None) -> ArrivingStream:
    clock = PaperClock()
    return ArrivingStream(_Slow(engine, clock, seconds), PICTURES, clock, rate, deadline)  # type: ignore[arg-type]


def test_a_stream_that_keeps_up(engine: Engine) -> None:
    turn = stream_of(engine, seconds=0.030, rate=20.0).turn(5)
    assert turn.samples == pytest.approx([30.0] * 5)
    assert turn.stages["wait"] == pytest.approx([0.0] * 5)
    assert (turn.dropped, turn.late) == (0, 0)
    assert turn.seconds == pytest.approx(4 * 0.050 + 0.030)


def test_a_stream_that_is_too_slow_takes_the_newest_and_counts_the_lost(engine: Engine) -> None:
    # Every 10 ms a frame, 25 ms each. Frame 0: 0 to 25; newest 2 (at 20): 25 to 50; 5 (at 50): 50 to 75; 7 (at 70): to
    # 100; 10 (at 100): to 125.
    turn = stream_of(engine, seconds=0.025, rate=100.0).turn(5)
    assert turn.samples == pytest.approx([25.0, 30.0, 25.0, 30.0, 25.0])
    assert turn.stages["wait"] == pytest.approx([0.0, 5.0, 0.0, 5.0, 0.0], abs=1e-6)
    assert (turn.dropped, turn.late) == (1 + 2 + 1 + 2, 5)


def test_a_deadline_of_its_own(engine: Engine) -> None:
    assert stream_of(engine, seconds=0.025, rate=100.0, deadline=0.027).turn(5).late == 2
    with pytest.raises(InputError, match="--rate is a number of frames a second above 0, not 0"):
        stream_of(engine, 0.1, rate=0.0)


def test_a_closed_loop_counts_decoding_and_begins_anew_with_the_clip(engine: Engine, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", frames=3)
    seen = []
    single = Single(engine, Clip(str(clip)), PaperClock())
    for _ in range(5):
        turn = single.turn(1)
        assert set(turn.stages) == {"decode", "prepare", "compute"}
        assert single._session.last is not None
        seen.append(single._session.last.restarts[0])
    single.close()
    assert seen == ["start", None, None, "asked", None]


@pytest.mark.parametrize(("fixed", "together"), [(-1, 4), (2, 2), (1, 1)])
def test_many_streams_each_with_its_state(tmp_path: Path, fixed: int, together: int) -> None:
    write_ema_artifact(tmp_path / "m.onnx", batch=fixed)
    with Engine.open(tmp_path / "m.onnx", backend="onnxruntime") as engine:
        many = ManyStreams(engine, PICTURES, PaperClock(), 4)
        turn = many.turn(3)
        assert (len(turn.samples), many.frames_a_sample, many.settings["together"]) == (3, 4, together)
        assert [session.steps for session in many._sessions] == [3] * (4 // together)
        assert [camera.position for camera in many._cameras] == [3, 20, 37, 54]
        many.close()


def test_streams_that_do_not_fit_the_batch(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "m.onnx", batch=2)
    with (
        Engine.open(tmp_path / "m.onnx", backend="onnxruntime") as engine,
        pytest.raises(InputError, match="--streams is a multiple of 2"),
    ):
        ManyStreams(engine, PICTURES, PaperClock(), 3)


def test_pictures_say_what_they_are(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.avi", frames=5)
    pictures = held(str(clip))
    assert (len(pictures.pictures), pictures.told) == (5, "5 frames of clip.avi, decoded before")
    assert "demo" in held(None).told or "noise" in held(None).told


def test_models_take_turns_and_the_report_says_how(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_ema_artifact(tmp_path / f"{name}.onnx", parity={"min_cc": 0.5, "frames": 3, "by_frame": {}})
    options = Options(("single", "stream"), ("onnxruntime",), frames=8, rounds=4, warm_up=0.0, rate=500.0, source=None)
    report = measure([tmp_path / "a.onnx", tmp_path / "b.onnx"], options)
    label = "tiny-ema fp32 16x32 onnxruntime"
    assert [run.name for run in report.runs] == [
        f"{label} (a)", f"{label} (b)", f"{label} (a), stream", f"{label} (b), stream"
    ]  # fmt: skip
    begun = sorted((turn.began, run.name[-3:]) for run in report.runs[:2] for turn in run.rounds)
    assert "".join(name[1] for _, name in begun) == "abbaabba"
    assert [len(turn.samples) for turn in report.runs[0].rounds] == [2, 2, 2, 2]
    assert report.runs[0].parity == {"min_cc": 0.5, "frames": 3}
    assert len(report.runs[0].model["sha256"]) == 64
    assert report.machine["threads"] >= 1
    assert report.options["garbage_collection"].startswith("collected before each turn")


def test_sensors_of_paper(tmp_path: Path) -> None:
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    heat = tmp_path / "sys/class/thermal/thermal_zone3"
    throttle = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle"
    for folder in (zone, heat, throttle):
        folder.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("9000000\n")
    (heat / "type").write_text("x86_pkg_temp\n")
    (heat / "temp").write_text("54000\n")
    readings = []
    for energy, count in (("8000000", "2"), ("1500000", "5")):
        (zone / "energy_uj").write_text(energy)
        (throttle / "core_throttle_count").write_text(count)
        reading = Reading()
        PowerCap(tmp_path).read(reading)
        Processor(tmp_path).read(reading)
        readings.append(reading)
    assert between(*readings) == {
        "joules": {"package-0 (0)": 2.5},  # 8 J, on to 9 J where the counter starts over, and 1.5 J more
        "celsius": {"x86_pkg_temp (3)": 54.0},
        "throttled": {"cpu, by heat": 3.0},
    }


def test_a_machine_that_tells_nothing(tmp_path: Path) -> None:
    reading = Reading()
    PowerCap(tmp_path).read(reading)
    Processor(tmp_path).read(reading)
    assert reading == Reading()
    found = fingerprint(tmp_path)
    assert "governor" not in found
    assert "jetson" not in found
    assert found["python"]


def test_clocks_that_jetson_clocks_fixed(tmp_path: Path) -> None:
    policy, gpu = tmp_path / "sys/devices/system/cpu/cpufreq/policy0", tmp_path / "sys/class/devfreq/17000000.gpu"
    for folder, names in ((policy, "scaling_{}_freq"), (gpu, "{}_freq")):
        folder.mkdir(parents=True)
        (folder / names.format("min")).write_text("306000000\n")
        (folder / names.format("max")).write_text("918000000\n")
    assert fingerprint(tmp_path)["clocks"] == ["cpu free", "gpu free"]
    (gpu / "min_freq").write_text("918000000\n")
    assert fingerprint(tmp_path)["clocks"] == ["cpu free", "gpu fixed"]


def test_jetson_power_is_summed_over_time() -> None:
    stats = TegraStats("a-command-that-is-not-there")
    line = "RAM 4722/62841MB CPU [0%@729] GR3D_FREQ 35%@[611,0] cpu@45.5C tj@47C "
    line += "VDD_GPU_SOC {0}mW/2000mW VDD_IN 5000mW/5000mW"
    for second, power in enumerate((1000, 2000, 4000)):
        stats.take(line.format(power), float(second))
    reading = Reading()
    stats.read(reading)
    stats.close()
    assert reading.joules == {"VDD_GPU_SOC": 6.0, "VDD_IN": 10.0}
    assert reading.celsius == {"cpu": 45.5, "tj": 47.0}
    assert reading.mhz == {"gr3d": 611.0}


def test_a_busy_machine_is_told() -> None:
    assert load_warnings({"start": [0.1, 0, 0], "cpus": 2, "others": 0.02, "stolen": 0.0}) == []
    assert load_warnings({"start": [1.0, 0, 0], "cpus": 2}) == [
        "the machine was busy: load 1.0 on 2 processors at the start"
    ]
    assert "other processes took 25%" in load_warnings({"cpus": 2, "others": 0.25})[0]


def sal_bench(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sal_bench", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_command_and_its_comparison(tmp_path: Path) -> None:
    write_ema_artifact(tmp_path / "m.onnx")
    model, quick = tmp_path / "m.onnx", ("--frames", 12, "--rounds", 6, "--warm-up", 0)
    done = sal_bench(model, *quick, "--backend", "onnxruntime", "--out", tmp_path / "r", "--parity")
    assert done.returncode == 0, done.stderr
    assert "Latency, ms" in done.stdout
    assert "none: export it again with sal-export" in done.stdout
    raw = json.loads((tmp_path / "r" / "report.json").read_text())
    assert np.size([turn["samples"] for turn in raw["runs"][0]["rounds"]]) == 12
    done = sal_bench("compare", tmp_path / "r", tmp_path / "r" / "report.json")
    assert done.returncode == 0, done.stderr
    assert "undecided" in done.stdout


def test_pictures_are_made_to_fit_what_takes_one_size_only() -> None:
    own = Held([np.zeros((36, 64, 3), np.uint8)], "one picture", 5).sized(18, 32)
    assert (own.pictures[0].shape, own.told, own.position) == ((18, 32, 3), "one picture, made 32x18", 5)


@pytest.mark.parametrize("sink", ["overlay", "maps"])
def test_end_to_end(tmp_path: Path, sink: str) -> None:
    write_ema_artifact(tmp_path / "m.onnx")
    clip = write_clip(tmp_path / "clip.avi", frames=9)
    before = sorted(tmp_path.iterdir())
    from sal_bench.end_to_end import measure_end_to_end

    options = Options(backends=("onnxruntime",), frames=12, rounds=2, warm_up=0.0)
    report = measure_end_to_end(tmp_path / "m.onnx", str(clip), sink, options)
    alone, whole = report.runs
    assert (alone.scenario, whole.scenario) == ("alone", "end-to-end")
    assert set(whole.stages) == {"decode", "prepare", "compute", "publish"}
    assert all(len(values) == 6 for turn in whole.rounds for values in (turn.samples, *turn.stages.values()))
    assert "over_the_model" in report.options
    assert report.warnings[-1] == "a run has 6 frames, of which opening and closing files is a large part"
    assert sorted(tmp_path.iterdir()) == before, "what a run wrote is gone"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("none.onnx",), "none.onnx: there is no such file"),
        (("{model}", "--scenario", "twice"), "there is no scenario 'twice'; choose from single, stream, batch"),
        (("{model}", "--frames", "3", "--rounds", "5"), "3 frames do not fill 5 rounds"),
        (("{model}", "--source", "nowhere.mp4"), "nowhere.mp4: there is no such file"),
        (("{model}", "--end-to-end"), "name it with --source FILE"),
        (("{model}", "{model}"), "is named twice"),
        (("compare", "none.json", "none.json"), "none.json: cannot be read as a report"),
        (("{model}", "--streams", "4"), "--streams is for --scenario batch"),
        (("{model}", "--rate", "25"), "--rate is for --scenario stream"),
        (("{model}", "--sink", "maps"), "--sink is for --end-to-end"),
        (("{model}", "--end-to-end", "--scenario", "stream"), "--end-to-end is a scenario of its own"),
        (("peers", "{model}"), "m.onnx is an artifact; the peers start from weights (.safetensors, .pt)"),
        (("peers", "--device", "cuda:1"), "the peers meet on cpu or cuda, not 'cuda:1'"),
        (("peers", "--config", "salema99"), "there is no configuration 'salema99'"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(tmp_path: Path, arguments: tuple[str, ...], sentence: str) -> None:
    write_ema_artifact(tmp_path / "m.onnx")
    done = sal_bench(*(text.format(model=tmp_path / "m.onnx") for text in arguments))
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
