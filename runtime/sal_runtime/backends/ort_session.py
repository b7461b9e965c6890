"""An ONNX Runtime session on an artifact, held against its manifest: what the CPU's and the GPU's backend share."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import onnxruntime

from sal_runtime.backends.onnx_metadata import manifest_in
from sal_runtime.errors import ArtifactError, failing_as, first_line
from sal_runtime.manifest import Manifest, Signature

_DTYPES = {"tensor(uint8)": "uint8", "tensor(float)": "float32", "tensor(float16)": "float16", "tensor(int64)": "int64"}

Provider = str | tuple[str, dict[str, str]]
"""A provider's name, or its name and options."""


def settings(precision: str) -> Any:
    """Session options for an artifact of that precision; nothing is printed, what goes wrong is said by our errors."""
    found = onnxruntime.SessionOptions()
    found.log_severity_level = 4
    if precision == "fp8":
        # Its further optimisations fuse fp8 pairs into operators that have no fp8, with wrong maps or an error.
        found.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
        found.add_session_config_entry("session.disable_quant_qdq", "1")
    return found


def open_session(path: Path, options: Any, providers: Sequence[Provider]) -> tuple[Any, Manifest]:
    """The session and the manifest that it agrees with.

    Raises:
        ArtifactError: not a model, damaged, without a manifest, or with other tensors than the manifest says.
    """
    try:
        # Without its own second try on the CPU, which prints, and whose error would hide the first one.
        session: Any = onnxruntime.InferenceSession(str(path), options, providers=list(providers), enable_fallback=0)
    except Exception as exc:  # the vendor's exceptions share no narrower base
        raise ArtifactError(f"{path}: ONNX Runtime cannot open it ({plain_words(exc)}); is it whole?") from exc
    manifest = manifest_in(session.get_modelmeta().custom_metadata_map, path)
    manifest.agree(_signatures(session.get_inputs()), _signatures(session.get_outputs()), str(path))
    return session, manifest


def failing(what: str) -> AbstractContextManager[None]:
    """Within the block ONNX Runtime's exception becomes ours; see :func:`sal_runtime.errors.failing_as`."""
    return failing_as(what, plain_words)


def plain_words(exc: BaseException) -> str:
    """The first line of its message, without its prefix."""
    return first_line(exc).split(" : ", 2)[-1][:200]


def _signatures(tensors: Sequence[Any]) -> dict[str, Signature]:
    """Name to type and shape; a named (free) dimension becomes -1."""
    return {
        t.name: (_DTYPES.get(t.type, t.type), tuple(n if isinstance(n, int) else -1 for n in t.shape)) for t in tensors
    }
