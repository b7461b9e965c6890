"""The checks themselves. Each is a function of the rig that returns whether it holds, and the figure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sal_bench.gpu_check.counting import CountingQueue
from sal_bench.gpu_check.findings import Check, NotRun
from sal_bench.gpu_check.rig import Rig, in_turns
from sal_export.parity import UNBOUND, check_parity, sized
from sal_runtime.gpu import Queue, open_queue
from sal_runtime.session import Session

OVER = 1.10
"""A session's own share over the engine's time."""
FLAT_MB = 8.0
"""What counts as flat: an allocator's grain."""
_FP8 = (8, 9)
"""The compute capability from which there is fp8: Ada's."""
_WHOLE = (1080, 1920)
"""Frames that are resized on the device."""


def all_checks(rig: Rig) -> list[tuple[str, Check]]:
    """Every check, in the order of the report."""
    checks: list[tuple[str, Check]] = []
    for backend, precisions in ((rig.backend, ("fp32", "fp16", "int8", "fp8")), ("onnxruntime", ("fp32", "fp16"))):
        if rig.rehearsal and backend == rig.backend and checks:
            continue
        for precision in precisions:
            name = f"{backend} {precision} computes what PyTorch computes, {rig.frames} frames with restarts"
            checks.append((name, partial(parity, rig, backend, precision)))
    checks += [
        ("slots of a batch restart each by itself", partial(batch, rig)),
        ("the state never leaves the device", partial(copies, rig)),
        ("CUDA graphs change the speed and nothing else", partial(graphs, rig)),
        (f"a session costs at most {OVER:.2f} times the engine's own time", partial(session, rig)),
        (f"memory stays flat over {rig.steps:,} steps", partial(memory, rig)),
        ("upper bound: frames a second with the next one enqueued before the last is done", partial(throughput, rig)),
        ("resizing on the device against INTER_AREA", partial(resize, rig)),
        ("compute-sanitizer finds nothing", partial(sanitizer, rig)),
    ]
    return checks


def parity(rig: Rig, backend: str, precision: str) -> tuple[bool | None, str]:
    """The closed loop against PyTorch in float32 on the same device; random weights in eight bits are only measured."""
    if precision == "fp8" and not rig.rehearsal and torch.cuda.get_device_capability() < _FP8:
        raise NotRun("this GPU has no fp8")
    path = rig.artifact(precision)
    found = check_parity(rig.reference(), path, rig.pictures(rig.frames), rig.source, backend=backend,
                         options=rig.options())  # fmt: skip
    worst, fault = found.summary(), found.fault()
    told = (
        f"CC at least {worst['min_cc']:.6f}, map off by at most {worst['max_error']:.1e}, state by "
        f"{worst['max_state_drift']:.1e} of its peak, on {found.backend}"
    )
    if found.tolerance == UNBOUND and fault is None:
        return None, f"{told}; random weights, whose maps are noise, are held to nothing in eight bits"
    return fault is None, told if fault is None else f"{fault}; {told}"


def batch(rig: Rig) -> tuple[bool, str]:
    """The same with two slots, whose restarts come at different frames."""
    path = rig.artifact("fp16", batch=2)
    count = min(60, rig.frames)
    found = check_parity(rig.reference(), path, rig.pictures(count), rig.source, backend=rig.backend,
                         options=rig.options())  # fmt: skip
    return found.fault() is None, found.fault() or f"CC at least {found.summary()['min_cc']:.6f} over {count} frames"


def copies(rig: Rig) -> tuple[bool, str]:
    """Bytes that cross in a step, and memory asked for, counted at the queue."""
    with closing(rig.tensorrt(rig.artifact("fp16"))) as backend:
        manifest, steps = backend.manifest, 20
        counted = CountingQueue(open_queue(0, rig.device_api))
        with closing(backend.stream_on(counted, 1)) as stream:
            counted.up = counted.down = counted.allocations = 0
            for picture in rig.pictures(steps):
                stream.step(picture[None], np.full((1, 1), manifest.normal_carry, np.float32))
    up, down = manifest.frame.zeros(1).nbytes + 4, manifest.saliency.zeros(1).nbytes
    state = sum(s.input.zeros(1).nbytes for s in manifest.states)
    told = (
        f"{counted.up // steps} bytes up (the picture and carry are {up}) and {counted.down // steps} down (the map is "
        f"{down}) a step; the state has {state}; {counted.allocations} allocations"
    )
    return (counted.up, counted.down, counted.allocations) == (steps * up, steps * down, 0), told


def graphs(rig: Rig) -> tuple[bool, str]:
    """Maps with and without, and the milliseconds of each; taken in turns, forth and back."""
    pictures = rig.pictures(30)
    with closing(rig.tensorrt(rig.artifact("fp16"))) as backend:
        carry = np.full((1, 1), backend.manifest.normal_carry, np.float32)
        with (
            closing(backend.stream(1)) as replayed,
            closing(backend.stream_on(open_queue(0, rig.device_api), 1, graphs=False)) as enqueued,
        ):
            if replayed.without_graphs and rig.device_api == "pycuda":
                raise NotRun("pycuda has no CUDA graphs")
            if replayed.without_graphs:
                return False, f"the step cannot be captured: {replayed.without_graphs}"
            maps = [
                np.stack([stream.step(picture[None], carry).copy() for picture in pictures])
                for stream in (replayed, enqueued)
            ]
            one, other = in_turns(
                lambda: replayed.step(pictures[0][None], carry), lambda: enqueued.step(pictures[0][None], carry)
            )
    off = float(np.abs(maps[0] - maps[1]).max())
    return off == 0.0, f"maps differ by {off:.1e}; {one:.3f} ms with, {other:.3f} ms without"


def session(rig: Rig) -> tuple[bool | None, str]:
    """A session against the bare step on frames of the network's size; taken in turns, forth and back.

    What resizing costs is the processor's matter and told beside it.
    """
    whole_frame, small = rig.pictures(1, (360, 640))[0], rig.pictures(1)[0]
    with closing(rig.open(rig.artifact("fp16"))) as backend:
        manifest = backend.manifest
        carry = np.full((1, 1), manifest.normal_carry, np.float32)
        with closing(backend.stream(1)) as bare, closing(Session(backend.stream(1), manifest)) as whole:
            alone, together = in_turns(lambda: bare.step(small[None], carry), lambda: whole.step(small))
            _, resized = in_turns(lambda: whole.step(small), lambda: whole.step(whole_frame))
    told = f"{together:.3f} ms against {alone:.3f} ms: {together / alone:.3f}; {resized:.3f} ms from 640x360"
    # On a CPU the engine's own time says nothing of a GPU's.
    return None if rig.rehearsal else together <= OVER * alone, told


def memory(rig: Rig) -> tuple[bool, str]:
    """What the process and the device hold, early and late."""
    pictures, held = rig.pictures(16), []
    with closing(rig.open(rig.artifact("fp16"))) as backend, closing(backend.stream(1)) as stream:
        carry = np.full((1, 1), backend.manifest.normal_carry, np.float32)
        for number in range(rig.steps):
            stream.step(pictures[number % 16][None], carry)
            if number in (rig.steps // 10, rig.steps - 1):
                held.append((_resident_mb(), _device_mb(rig)))
    (host, device), (host_late, device_late) = held
    grown = (host_late - host, device_late - device)
    told = f"the process grew by {grown[0]:.1f} MB, the device's memory by {grown[1]:.1f} MB"
    return max(grown) <= FLAT_MB, told


def throughput(rig: Rig) -> tuple[None, str]:
    """What ``trtexec`` reports: it does not wait for a frame before it enqueues the next, which a recurrence must."""
    with closing(rig.tensorrt(rig.artifact("fp16"))) as backend:
        queue = open_queue(0, rig.device_api)
        with closing(backend.stream_on(queue, 1, graphs=False)) as stream, queue.active():
            told = f"{_ahead(queue, stream.enqueue_engine):.1f} frames a second enqueued one by one"
            if queue.has_graphs:
                told += f", {_ahead(queue, queue.record(stream.enqueue_engine)):.1f} as CUDA graphs"
    return None, told + "; without the copies"


def _ahead(queue: Queue, enqueue: Callable[[], None], count: int = 300) -> float:
    """Frames a second of so many, of which none is waited for but the last."""
    for _ in range(20):
        enqueue()
    queue.synchronize()
    began = time.perf_counter()
    for _ in range(count):
        enqueue()
    queue.synchronize()
    return count / (time.perf_counter() - began)


def resize(rig: Rig) -> tuple[bool, str]:
    """An artifact that takes whole frames, against the host's INTER_AREA before PyTorch."""
    path = rig.artifact("fp16", device_resize=_WHOLE)
    worst, least = 0.0, 1.0
    with (
        closing(rig.open(path)) as backend,
        closing(backend.stream(1)) as own,
        closing(rig.reference().stream(1)) as other,
    ):
        carry = np.full((1, 1), backend.manifest.normal_carry, np.float32)
        for picture in rig.pictures(min(30, rig.frames), _WHOLE):
            expected = other.step(sized(picture[None], (rig.height, rig.width)), carry)
            found = own.step(picture[None], carry)
            worst = max(worst, float(np.abs(found - expected).max()))
            least = min(least, float(np.corrcoef(found.ravel(), expected.ravel())[0, 1]))
    return least >= 0.999, f"from 1920x1080: CC at least {least:.6f}, map off by at most {worst:.1e}"


def sanitizer(rig: Rig) -> tuple[bool, str]:
    """A few steps in a process of their own under NVIDIA's memory checker."""
    if rig.rehearsal:
        raise NotRun("a rehearsal has no GPU")
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if tool is None:
        raise NotRun("compute-sanitizer is not installed")
    few = [str(rig.artifact("fp16")), rig.backend, rig.device_api]
    steps = [sys.executable, "-m", "sal_bench.gpu_check.few_steps", *few]
    done = subprocess.run(
        [tool, "--tool", "memcheck", "--error-exitcode", "9", *steps], capture_output=True, text=True, timeout=540
    )
    last = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR SUMMARY" in line]
    return done.returncode == 0, last[-1].strip("= ") if last else f"it ended with {done.returncode}"


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _device_mb(rig: Rig) -> float:
    if rig.rehearsal:
        return 0.0
    free, total = torch.cuda.mem_get_info()
    return float(total - free) / 1e6
