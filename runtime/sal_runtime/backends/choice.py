"""``--backend auto``: the engine that was measured to be the fastest for such an artifact, and the reason in words."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from sal_runtime.backends import Options
from sal_runtime.backends.measured import computed_in, processor_kind, rows_for
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.errors import ArtifactError

_READERS = {".onnx": ("onnxruntime", "openvino"), ".engine": ("tensorrt",)}
"""Suffix of an artifact -> the backends that read it on a CPU (an engine: on a GPU), the default first."""

_PACKAGES = {"onnxruntime": ("onnxruntime",), "openvino": ("openvino",), "tensorrt": ("tensorrt", "tensorrt_rtx")}
"""Backend -> the packages of which it needs one."""


@dataclass(frozen=True)
class Choice:
    """A backend and why it."""

    backend: str
    """Name on the command line."""
    why: str
    """A few words for a summary."""


def choose(path: Path, options: Options) -> Choice:
    """The backend for an artifact on this machine.

    Raises:
        ArtifactError: the file is not an artifact.
    """
    if path.suffix not in _READERS:
        raise ArtifactError(f"{path}: an artifact ends in {' or '.join(_READERS)}; sal-export makes one")
    readers = _READERS[path.suffix]
    if len(readers) == 1:
        return Choice(readers[0], f"it reads {path.suffix}")
    if options.device != "cpu":
        if options.allow_cpu_fallback:
            return Choice("onnxruntime", f"for {options.device}, the one that can fall back to the CPU")
        if _installed("tensorrt"):
            return Choice("tensorrt", f"for {options.device}; its engine is built on first use")
        return Choice("onnxruntime", f"for {options.device}, where TensorRT is not installed")
    if options.precision == "bf16":
        return Choice("openvino", "it has bf16")
    manifest = read_manifest(path)
    network = manifest.provenance.get("architecture")
    return choose_measured(network, manifest.precision, [name for name in readers if _installed(name)] or [readers[0]])


def choose_measured(network: str | None, precision: str, installed: list[str], processor: str = "") -> Choice:
    """The fastest of the installed backends by the table of measurements; the first where nothing was measured.

    Args:
        network: the architecture, from the manifest.
        precision: the artifact's.
        installed: backends, the default first.
        processor: its kind; by default this machine's.
    """
    processor = processor or processor_kind()
    rows, where = rows_for(network, computed_in(precision), processor)
    best: dict[str, float] = {}
    for row in rows:
        best[row.engine] = min(row.ms, best.get(row.engine, row.ms))
    ranked = sorted((name for name in best if name in installed), key=best.__getitem__)
    if not ranked:
        return Choice(installed[0], f"the default: {network or 'this network'} in {precision} is not in our table")
    first, others = ranked[0], sorted((name for name in best if name != ranked[0]), key=best.__getitem__)
    told = ", ".join(f"{best[first]:.3g} ms a frame against {best[name]:.3g} with {name}" for name in others[:1])
    faster = [name for name in others if name not in installed and best[name] < best[first]]
    missing = f"; faster: pip install 'sal-edge[{faster[0]}]'" if faster else ""
    place = where if where == processor else f"{where}; a {processor} was not measured"
    return Choice(first, f"{told or 'the only one'} in our table ({place}){missing}")


def _installed(backend: str) -> bool:
    return any(importlib.util.find_spec(package) is not None for package in _PACKAGES[backend])
