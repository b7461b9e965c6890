"""The door to the runtime: open an artifact once, start as many streams as there are cameras.

In use::

    with Engine.open("salema30.onnx") as engine:
        left, right = engine.stream(), engine.stream()
        saliency = left.step(frame, timestamp=0.04)
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import weakref
from pathlib import Path
from types import TracebackType

from sal_runtime.backends import Backend, OnBuild, Options, open_backend, silent
from sal_runtime.backends.choice import choose
from sal_runtime.errors import InputError
from sal_runtime.manifest import Manifest
from sal_runtime.session import MAX_GAP, Session


class Engine:
    """An opened artifact: its weights are shared, each stream owns a state."""

    def __init__(self, backend: Backend, why: str = "") -> None:
        self._backend = backend
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self.why = why
        """Why ``auto`` picked this engine; empty where the caller named it."""

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        backend: str = "auto",
        device: str = "cpu",
        threads: int | None = None,
        precision: str = "auto",
        hint: str = "latency",
        graphs: bool = True,
        device_api: str = "cuda.core",
        allow_cpu_fallback: bool = False,
        workspace: int | None = None,
        on_build: OnBuild = silent,
    ) -> Engine:
        """Open an artifact that ``sal-export`` made.

        Args:
            path: the ``.onnx`` file, or the ``.engine`` of TensorRT with its record beside it. Load only engines that
                you trust: they are programs.
            backend: the engine's name, or ``auto`` for the one measured to be the fastest.
            device: ``cpu``, ``cuda`` or ``cuda:N``. TensorRT takes the first GPU without being told.
            threads: of a CPU engine; None for its own choice.
            precision: ``auto`` or ``f32`` as the artifact says, ``bf16`` where engine and processor have it.
            hint: ``latency`` or ``throughput``, what OpenVINO is tuned for.
            graphs: whether steps on a GPU are replayed as CUDA graphs.
            device_api: ``cuda.core`` or ``pycuda``, what handles TensorRT's memory and streams.
            allow_cpu_fallback: whether ONNX Runtime may run on the CPU what was asked of a GPU.
            workspace: MiB for the kernels of an engine that is built on first use.
            on_build: told of phase, steps done and steps in all while that goes on.

        Raises:
            ArtifactError: not an artifact, damaged, or of an unknown version.
            BackendError: the engine refused it.
            InputError: an option that is unknown, or that engine or processor do not have.
            MissingDependency: the engine is not installed.
        """
        options = Options(device, threads, precision, hint, graphs, device_api, allow_cpu_fallback, workspace, on_build)
        file, why = Path(path), ""
        if backend == "auto" and file.is_file():
            backend, why = dataclasses.astuple(choose(file, options))
        return cls(open_backend(file, backend, options), why)

    @property
    def manifest(self) -> Manifest:
        """The artifact's contract."""
        return self._backend.manifest

    @property
    def name(self) -> str:
        """What runs the artifact, with its version and device."""
        return self._backend.name

    @property
    def note(self) -> str:
        """What a user should know of how it was opened, such as an engine that was built; mostly empty."""
        return self._backend.note

    def stream(
        self,
        batch: int | None = None,
        *,
        alpha: float | None = None,
        max_gap: float = MAX_GAP,
        detect_cuts: bool = False,
    ) -> Session:
        """Start a stream with a state of its own.

        Args:
            batch: slots that step together; by default the artifact's fixed batch, or 1.
            alpha: replaces the artifact's EMA alpha, 0 to 1; it may be changed on the session while running.
            max_gap: seconds without a frame after which the state starts anew.
            detect_cuts: start anew at hard cuts as well.

        Raises:
            InputError: the artifact has another fixed batch, or alpha is out of range or has nothing to act on.
        """
        fixed = self.manifest.batch
        if batch is not None and (batch < 1 or (fixed is not None and batch != fixed)):
            raise InputError(f"a batch of {batch} was asked for, the artifact takes {fixed or 'one or more'}")
        slots = batch or fixed or 1
        stream = self._backend.stream(slots)
        try:
            session = Session(stream, self.manifest, slots, alpha=alpha, max_gap=max_gap, detect_cuts=detect_cuts)
        except InputError:
            stream.close()
            raise
        self._sessions.add(session)
        return session

    def close(self) -> None:
        """Release the engine and, before it, the streams that are still there."""
        with contextlib.ExitStack() as stack:
            stack.callback(self._backend.close)
            for session in list(self._sessions):
                stack.callback(session.close)

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
