"""The checks themselves. Each is a function of the rig that returns whether it holds, and the figure."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch

from sal_bench.gpu_check.counting import CountingQueue
from sal_bench.gpu_check.findings import Check, NotRun
from sal_bench.gpu_check.rig import Rig, median_ms
from sal_export.parity import check_parity, sized
from sal_runtime.gpu import open_queue
from sal_runtime.session import Session

OVER = 1.10
"""A session's own share over the engine's time."""
FLAT_MB = 8.0
"""What counts as flat: an allocator's grain."""
_WHOLE = (1080, 1920)
"""Frames that are resized on the device."""


def all_checks(rig: Rig) -> list[tuple[str, Check]]:
    """Every check, in the order of the report."""
    checks: list[tuple[str, Check]] = []
    for backend, precisions in ((rig.backend, ("fp32", "fp16", "int8")), ("onnxruntime", ("fp32", "fp16"))):
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


def parity(rig: Rig, backend: str, precision: str) -> tuple[bool, str]:
    """The closed loop against PyTorch in float32 on the same device."""
    path = rig.artifact(precision)
    found = check_parity(rig.reference(), path, rig.pictures(rig.frames), rig.source, backend=backend,
                         options=rig.options())  # fmt: skip
    worst, fault = found.summary(), found.fault()
    told = (
        f"CC at least {worst['min_cc']:.6f}, map off by at most {worst['max_error']:.1e}, state by "
        f"{worst['max_state_drift']:.1e} of its peak, on {found.backend}"
    )
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
    backend = rig.tensorrt(rig.artifact("fp16"))
    try:
        manifest, steps = backend.manifest, 20
        counted = CountingQueue(open_queue(0, rig.device_api))
        stream = backend.stream_on(counted, 1)
        try:
            counted.up = counted.down = counted.allocations = 0
            for picture in rig.pictures(steps):
                stream.step(picture[None], np.full((1, 1), manifest.normal_carry, np.float32))
        finally:
            stream.close()
    finally:
        backend.close()
    up, down = manifest.frame.zeros(1).nbytes + 4, manifest.saliency.zeros(1).nbytes
    state = sum(s.input.zeros(1).nbytes for s in manifest.states)
    told = (
        f"{counted.up // steps} bytes up (the picture and carry are {up}) and {counted.down // steps} down (the map is "
        f"{down}) a step; the state has {state}; {counted.allocations} allocations"
    )
    return (counted.up, counted.down, counted.allocations) == (steps * up, steps * down, 0), told


def graphs(rig: Rig) -> tuple[bool, str]:
    """Maps with and without, and the milliseconds of each."""
    found = []
    for on in (True, False):
        backend = rig.tensorrt(rig.artifact("fp16"), graphs=on)
        try:
            stream = backend.stream(1)
            if on and stream.without_graphs:
                raise NotRun(stream.without_graphs)
            carry = np.full((1, 1), backend.manifest.normal_carry, np.float32)
            pictures = rig.pictures(30)
            maps = [stream.step(picture[None], carry).copy() for picture in pictures]
            found.append((np.stack(maps), median_ms(partial(stream.step, pictures[0][None], carry), 200)))
            stream.close()
        finally:
            backend.close()
    (with_maps, with_ms), (without_maps, without_ms) = found
    off = float(np.abs(with_maps - without_maps).max())
    return off == 0.0, f"maps differ by {off:.1e}; {with_ms:.3f} ms with, {without_ms:.3f} ms without"


def session(rig: Rig) -> tuple[bool, str]:
    """A session with resizing from 640x360, against the bare step; alternating."""
    backend = rig.open(rig.artifact("fp16"))
    try:
        manifest = backend.manifest
        bare, own = backend.stream(1), backend.stream(1)
        whole = Session(own, manifest)
        picture, small = rig.pictures(1, (360, 640))[0], rig.pictures(1)[0][None]
        carry = np.full((1, 1), manifest.normal_carry, np.float32)
        engine, sessions = [], []
        for _ in range(6):
            engine.append(median_ms(lambda: bare.step(small, carry), 50))
            sessions.append(median_ms(lambda: whole.step(picture), 50))
        bare.close()
        own.close()
    finally:
        backend.close()
    alone, together = sorted(engine)[3], sorted(sessions)[3]
    return together <= OVER * alone, f"{together:.3f} ms against {alone:.3f} ms: {together / alone:.3f}"


def memory(rig: Rig) -> tuple[bool, str]:
    """What the process and the device hold, early and late."""
    backend = rig.open(rig.artifact("fp16"))
    try:
        stream = backend.stream(1)
        carry = np.full((1, 1), backend.manifest.normal_carry, np.float32)
        pictures = rig.pictures(16)
        held = []
        for number in range(rig.steps):
            stream.step(pictures[number % 16][None], carry)
            if number in (rig.steps // 10, rig.steps - 1):
                held.append((_resident_mb(), _device_mb(rig)))
        stream.close()
    finally:
        backend.close()
    (host, device), (host_late, device_late) = held
    grown = (host_late - host, device_late - device)
    told = f"the process grew by {grown[0]:.1f} MB, the device's memory by {grown[1]:.1f} MB"
    return max(grown) <= FLAT_MB, told


def throughput(rig: Rig) -> tuple[None, str]:
    """What ``trtexec`` reports: it does not wait for a frame before it enqueues the next, which a recurrence must."""
    backend = rig.tensorrt(rig.artifact("fp16"))
    try:
        queue = open_queue(0, rig.device_api)
        try:
            stream = backend.stream_on(queue, 1, graphs=False)
            count = 300
            for _ in range(20):
                stream.enqueue_engine()
            queue.synchronize()
            began = time.perf_counter()
            for _ in range(count):
                stream.enqueue_engine()
            queue.synchronize()
            seconds = time.perf_counter() - began
            stream.close()
        finally:
            queue.close()
    finally:
        backend.close()
    return None, f"{count / seconds:.1f} frames a second, {seconds / count * 1e3:.3f} ms each, without the copies"


def resize(rig: Rig) -> tuple[bool, str]:
    """An artifact that takes whole frames, against the host's INTER_AREA before PyTorch."""
    path = rig.artifact("fp16", device_resize=_WHOLE)
    backend, reference = rig.open(path), rig.reference()
    try:
        own, other = backend.stream(1), reference.stream(1)
        carry = np.full((1, 1), backend.manifest.normal_carry, np.float32)
        worst, least = 0.0, 1.0
        for picture in rig.pictures(min(30, rig.frames), _WHOLE):
            expected = other.step(sized(picture[None], (rig.height, rig.width)), carry)
            found = own.step(picture[None], carry)
            worst = max(worst, float(np.abs(found - expected).max()))
            least = min(least, float(np.corrcoef(found.ravel(), expected.ravel())[0, 1]))
        own.close()
    finally:
        backend.close()
    return least >= 0.999, f"from 1920x1080: CC at least {least:.6f}, map off by at most {worst:.1e}"


def sanitizer(rig: Rig) -> tuple[bool, str]:
    """A few steps in a process of their own under NVIDIA's memory checker."""
    if rig.rehearsal:
        raise NotRun("a rehearsal has no GPU")
    tool = shutil.which("compute-sanitizer") or shutil.which("/usr/local/cuda/bin/compute-sanitizer")
    if tool is None:
        raise NotRun("compute-sanitizer is not installed")
    steps = [sys.executable, "-m", "sal_bench.gpu_check.few_steps", str(rig.artifact("fp16")), rig.device_api]
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
