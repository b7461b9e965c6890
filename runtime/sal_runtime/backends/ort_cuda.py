"""ONNX Runtime on a GPU: its CUDA provider, and its TensorRT provider.

The state lies in device OrtValues that two prebuilt bindings swap. With CUDA graphs each direction of the swap has a
graph id of its own. The picture and ``carry`` are copied into device values, since what is bound on the CPU is not
refreshed when a graph is replayed (microsoft/onnxruntime 29782).

ONNX Runtime falls back to the CPU in silence where a package or a driver is missing. Here that is an error, unless the
user allowed it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.backends import Options
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.backends.ort import OrtBackend
from sal_runtime.backends.ort_session import failing_as, first_line, open_session, settings
from sal_runtime.backends.pair import StatePair
from sal_runtime.errors import ArtifactError, BackendError, InputError
from sal_runtime.folders import cache_folder
from sal_runtime.gpu import device_index
from sal_runtime.manifest import Manifest, TensorSpec
from sal_runtime.quiet import Heard, hushed

_SHAPES = {"Cast", "Concat", "Constant", "Gather", "Shape", "Slice", "Squeeze", "Unsqueeze"}
"""What computes the shapes of an open batch."""

CUDA, TENSORRT = "CUDAExecutionProvider", "TensorrtExecutionProvider"


class OrtCudaBackend:
    """An artifact opened on a GPU."""

    def __init__(self, path: Path, options: Options, provider: str) -> None:
        self._index = device_index(options.device)
        # The TensorRT provider replays graphs of its own kind; only the CUDA provider's are told apart by an id.
        self._graphs = options.graphs and provider == CUDA
        manifest = read_manifest(path)
        session = settings(manifest.precision)
        # An open batch has shapes to compute, which belongs on the CPU: what else is there is looked at afterwards.
        strict = manifest.batch is not None
        entry = "session.disable_cpu_ep_fallback" if strict else "session.record_ep_graph_assignment_info"
        session.add_session_config_entry(entry, "1")
        wanted = [(provider, self._provider_options(provider, options))]
        wanted += [(CUDA, {"device_id": str(self._index), "use_tf32": "0"})] if provider == TENSORRT else []
        heard = Heard()
        try:
            with hushed(1, 2) as heard, contextlib.redirect_stdout(io.StringIO()):  # it prints from Python as well
                with contextlib.suppress(Exception):
                    onnxruntime.preload_dlls()  # CUDA and cuDNN where they came as Python packages
                self._session, self.manifest = open_session(path, session, wanted)
        except ArtifactError as exc:
            if exc.__cause__ is None:  # the file's fault, not the GPU's
                raise
            raise BackendError(_off_the_gpu(provider, heard.text, first_line(exc.__cause__ or exc))) from exc
        if provider not in self._session.get_providers():
            raise BackendError(_off_the_gpu(provider, heard.text, "it cannot be loaded; is there a driver?"))
        astray = [] if strict else left_to_the_cpu(self._session)
        if astray:
            raise BackendError(_off_the_gpu(provider, "", f"it leaves {', '.join(astray)} to the CPU"))
        short = provider.removesuffix("ExecutionProvider").lower()
        self.name = f"onnxruntime {onnxruntime.__version__} {short}:{self._index}"
        self.name += "" if self._graphs else ", no CUDA graphs"
        self.note = ""
        self._pool = Pool(self._session, self.manifest, ("cuda", self._index), self._graphs)

    def stream(self, batch: int) -> OrtCudaStream:
        """A fresh stream of ``batch`` slots, its states zero."""
        return OrtCudaStream(self._pool, batch)

    def close(self) -> None:
        """Let go of the engine; the memory goes with its last stream."""
        self._session = None
        self._pool.close()

    def _provider_options(self, provider: str, options: Options) -> dict[str, str]:
        if provider == CUDA:
            return {"device_id": str(self._index), "use_tf32": "0", "enable_cuda_graph": str(int(self._graphs))}
        found = {"device_id": str(self._index)}
        if options.workspace is not None:
            found["trt_max_workspace_size"] = str(options.workspace << 20)
        folder = cache_folder("onnxruntime-tensorrt")
        if folder is not None:
            found |= {"trt_engine_cache_enable": "1", "trt_engine_cache_path": str(folder)}
            found |= {"trt_timing_cache_enable": "1", "trt_timing_cache_path": str(folder)}
        return found


class Buffers:
    """What a step needs on the device: the picture, carry and map, two sets of states, a binding for either direction.

    With CUDA graphs each direction has an id, under which ONNX Runtime records the first run.
    """

    def __init__(
        self, session: Any, manifest: Manifest, batch: int, where: tuple[str, int], graph_ids: tuple[int, int] | None
    ) -> None:
        self._session, self._manifest, self._batch, self._where = session, manifest, batch, where
        self._frame, self._carry, self._output = map(self._value, (manifest.frame, manifest.carry, manifest.saliency))
        first, second = ([self._value(state.input) for state in manifest.states] for _ in range(2))
        self.states: StatePair[Any] = StatePair(
            (first, second), lambda value: value.numpy(), lambda value, array: value.update_inplace(array)
        )
        self._bindings = [self._bind(manifest, first, second), self._bind(manifest, second, first)]
        self._runs = [_run_options(graph_ids and graph_ids[turn]) for turn in range(2)]
        if graph_ids is not None:
            # The first run under an id captures its graph and may run it several times (onnxruntime 32243): here, on
            # states that are wiped afterwards, and not in the user's first two frames.
            for turn in range(2):
                self._run(turn)
        self.clear()

    def clear(self) -> None:
        """Zero both sides of the state."""
        for side in self.states.sides:
            for value, state in zip(side, self._manifest.states, strict=True):
                value.update_inplace(state.input.zeros(self._batch))
        self.states.turn = 0

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame."""
        with failing_as("onnxruntime failed in a step"):
            self._frame.update_inplace(np.ascontiguousarray(frame))
            self._carry.update_inplace(np.ascontiguousarray(carry, np.float32))
        self._run(self.states.turn)
        self.states.swap()
        result: Floats = self._output.numpy()
        return result

    def _run(self, turn: int) -> None:
        with failing_as("onnxruntime failed in a step"):
            binding = self._bindings[turn]
            binding.synchronize_inputs()
            self._session.run_with_iobinding(binding, self._runs[turn])
            binding.synchronize_outputs()

    def _value(self, spec: TensorSpec) -> Any:
        """A zero tensor on the device."""
        with failing_as("the GPU has no memory left for this stream"):
            return onnxruntime.OrtValue.ortvalue_from_numpy(spec.zeros(self._batch), *self._where)

    def _bind(self, manifest: Manifest, before: list[Any], after: list[Any]) -> Any:
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(manifest.frame.name, self._frame)
        binding.bind_ortvalue_input(manifest.carry.name, self._carry)
        binding.bind_ortvalue_output(manifest.saliency.name, self._output)
        for state, old, new in zip(manifest.states, before, after, strict=True):
            binding.bind_ortvalue_input(state.input.name, old)
            binding.bind_ortvalue_output(state.output.name, new)
        return binding


class Pool:
    """Buffers for streams. With CUDA graphs those of a closed stream serve the next, since ONNX Runtime frees no graph.

    One thread at a time: ONNX Runtime records graphs, and copies, for one only.
    """

    def __init__(self, session: Any, manifest: Manifest, where: tuple[str, int], graphs: bool) -> None:
        self.lock = threading.Lock()
        self._session, self._manifest, self._where = session, manifest, where
        self._ids: Iterator[int] | None = itertools.count(1) if graphs else None
        self._free: dict[int, list[Buffers]] = {}

    def take(self, batch: int) -> Buffers:
        """Buffers with zero states."""
        with self.lock:
            if self._session is None:
                raise InputError("this engine has been closed; open the artifact again")
            free = self._free.get(batch)
            if free:
                buffers = free.pop()
                buffers.clear()
                return buffers
            ids = None if self._ids is None else (next(self._ids), next(self._ids))
            return Buffers(self._session, self._manifest, batch, self._where, ids)

    def give(self, batch: int, buffers: Buffers) -> None:
        """Take them back."""
        with self.lock:
            if self._ids is not None and self._session is not None:
                self._free.setdefault(batch, []).append(buffers)

    def close(self) -> None:
        """Let go of everything that no stream has."""
        with self.lock:
            self._session = None
            self._free.clear()


class OrtCudaStream:
    """A recurrence on buffers of the pool: the picture goes in, the map comes out, nothing else moves."""

    def __init__(self, pool: Pool, batch: int) -> None:
        self._pool, self._batch = pool, batch
        self._buffers: Buffers | None = pool.take(batch)

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame; see :class:`sal_runtime.backends.Stream`."""
        with self._pool.lock:
            return self._open().step(frame, carry)

    def snapshot(self) -> list[Floats]:
        """Copies of the state that the next step will read."""
        with self._pool.lock:
            return self._open().states.snapshot()

    def restore(self, states: Sequence[Floats]) -> None:
        """Overwrite the state that the next step will read."""
        with self._pool.lock:
            self._open().states.restore([np.ascontiguousarray(state, np.float32) for state in states])

    def close(self) -> None:
        """Give the buffers back; twice does no harm."""
        buffers, self._buffers = self._buffers, None
        if buffers is not None:
            self._pool.give(self._batch, buffers)

    def _open(self) -> Buffers:
        if self._buffers is None:
            raise InputError("this stream has been closed; start another")
        return self._buffers


def open_cuda(path: Path, options: Options) -> OrtCudaBackend | OrtBackend:
    """Open ``path`` with the CUDA provider."""
    return _open(path, options, CUDA)


def open_tensorrt(path: Path, options: Options) -> OrtCudaBackend | OrtBackend:
    """Open ``path`` with the TensorRT provider, which takes its engines from its own cache."""
    return _open(path, options, TENSORRT)


def _open(path: Path, options: Options, provider: str) -> OrtCudaBackend | OrtBackend:
    if options.precision != "auto":
        raise InputError("on a GPU onnxruntime computes as the artifact says; leave out --precision")
    device = "cuda" if options.device == "cpu" else options.device
    try:
        return OrtCudaBackend(path, dataclasses.replace(options, device=device), provider)
    except BackendError as exc:
        if not options.allow_cpu_fallback:
            raise
        backend = OrtBackend(path, dataclasses.replace(options, device="cpu"))
        backend.note = f"on the CPU, in place of {device}: {exc}"
        return backend


def _off_the_gpu(provider: str, heard: str, otherwise: str) -> str:
    """The sentence for a provider that does not run what was asked of it.

    Args:
        provider: its name.
        heard: what ONNX Runtime wrote to the terminal meanwhile, where the cause is told.
        otherwise: what to say where it told nothing.
    """
    cause = re.search(r"with error: (.+)", heard)
    wants = re.search(r"Require (.+?)\. Please", heard)
    told = cause[1].strip() if cause else otherwise
    needs = f"; it needs NVIDIA's driver, {wants[1]}" if cause and wants else ""
    return f"onnxruntime's {provider} cannot be used here: {told}{needs}; --allow-cpu-fallback runs on the CPU instead"


def left_to_the_cpu(session: Any) -> list[str]:
    """Operators that run on the CPU though they compute no shape, sorted.

    Args:
        session: opened with ``session.record_ep_graph_assignment_info``.
    """
    told = getattr(session, "get_provider_graph_assignment_info", None)  # not before ONNX Runtime 1.24
    parts = [] if told is None else [part for part in told() if part.ep_name == "CPUExecutionProvider"]
    return sorted({node.op_type for part in parts for node in part.get_nodes()} - _SHAPES)


def _run_options(graph_id: int | None) -> Any:
    run = onnxruntime.RunOptions()
    if graph_id is not None:
        run.add_run_config_entry("gpu_graph_id", str(graph_id))
    return run
