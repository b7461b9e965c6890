"""Uses a device queue as a backend does; run by the tests in a process whose CUDA driver is ``fake_cuda.c``."""

from __future__ import annotations

import contextlib
import ctypes
import sys

import numpy as np

from sal_runtime.errors import BackendError
from sal_runtime.gpu import open_queue

queue = open_queue(0, sys.argv[1])
assert (queue.gpu.name, queue.gpu.capability, queue.gpu.driver) == ("Make-Believe GPU", "8.7", "13.0")
held = contextlib.ExitStack()
held.enter_context(queue.active())
memory = queue.allocate(1000)
assert memory.address % 256 == 0
assert memory.nbytes == 1000
sent, received = queue.pinned((10, 25), "float32"), queue.pinned((10, 25), "float32")
assert not sent.any()
received[...] = 5.0
queue.download(received, memory)
queue.synchronize()
assert not received.any(), "device memory is zeroed"

sent[...] = np.arange(250).reshape(10, 25)
queue.upload(memory, sent)
queue.download(received, memory)
assert not received.any(), "nothing is done before it is waited for"
queue.synchronize()
assert (received == sent).all()

ordinary = np.full((10, 25), 7.0, np.float32)
queue.upload(memory, ordinary)
out = np.empty_like(ordinary)
queue.download(out, memory)
queue.synchronize()
assert (out == 7.0).all(), "memory that is not page-locked is copied as well"

assert queue.handle != 0
if queue.has_graphs:
    outside = queue.handle
    inside: list[int] = []

    def work() -> None:
        inside.append(queue.handle)
        queue.upload(memory, sent)
        queue.download(received, memory)

    launch = queue.record(work)
    received[...] = 0.0
    queue.synchronize()
    assert not received.any(), "recording runs nothing"
    for value in (3.0, 4.0):
        sent[...] = value
        launch()
        queue.synchronize()
        assert (received == value).all(), "a replay copies what is there now"
    assert inside == [outside], "an engine's work is captured on the same stream"

    def failing() -> None:
        queue.upload(memory, sent)
        raise BackendError("the engine refused")

    told = ""
    try:
        queue.record(failing)
    except BackendError as exc:
        told = str(exc)
    assert told == "the engine refused", "what failed is told, not what follows from it"
    assert queue.handle == outside
    sent[...] = 6.0
    queue.record(work)()
    queue.synchronize()
    assert (received == 6.0).all(), "the stream records again"
else:
    try:
        queue.record(lambda: None)
    except BackendError as exc:
        sys.stdout.write(f"{exc}\n")

for attempt in (lambda: queue.allocate(1 << 40), lambda: open_queue(3, sys.argv[1])):
    try:
        attempt()
    except BackendError as exc:
        sys.stdout.write(f"{exc}\n")
held.close()
queue.close()
queue.close()
pushed = ctypes.c_int.in_dll(ctypes.CDLL("libcuda.so.1"), "fake_contexts_pushed").value
assert pushed == 0, "every context that was pushed is popped"
sys.stdout.write("done\n")
