"""ONNX Runtime on a GPU: its CUDA provider, and its TensorRT provider.

ONNX Runtime falls back to the CPU in silence where a package or a driver is missing. Here that is an error, unless the
user allowed it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import re
from pathlib import Path
from typing import Any

import onnxruntime

from sal_runtime.backends import Options
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.backends.ort import OrtBackend
from sal_runtime.backends.ort_cuda_stream import OrtCudaStream, Pool
from sal_runtime.backends.ort_session import open_session, plain_words, settings
from sal_runtime.errors import ArtifactError, BackendError, InputError
from sal_runtime.folders import cache_folder
from sal_runtime.gpu import device_index
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
                opened, self.manifest = open_session(path, session, wanted)
        except ArtifactError as exc:
            if exc.__cause__ is None:  # the file's fault, not the GPU's
                raise
            raise BackendError(_off_the_gpu(provider, heard.text, plain_words(exc.__cause__))) from exc
        if provider not in opened.get_providers():
            raise BackendError(_off_the_gpu(provider, heard.text, "it cannot be loaded; is there a driver?"))
        astray = [] if strict else left_to_the_cpu(opened)
        if astray:
            raise BackendError(_off_the_gpu(provider, "", f"it leaves {', '.join(astray)} to the CPU"))
        short = provider.removesuffix("ExecutionProvider").lower()
        self.name = f"onnxruntime {onnxruntime.__version__} {short}:{self._index}"
        self.name += "" if self._graphs else ", no CUDA graphs"
        self.note = ""
        self._pool = Pool(opened, self.manifest, ("cuda", self._index), self._graphs)

    def stream(self, batch: int) -> OrtCudaStream:
        """A fresh stream of ``batch`` slots, its states zero."""
        return OrtCudaStream(self._pool, batch)

    def close(self) -> None:
        """Let go of the engine; the memory goes with its last stream."""
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
