"""Who takes part, as a table. A line here is all that a new contestant needs, beside a function that opens it.

*Plain* means what a user writes without us: the network exported as it stands (upsampling and convolution apart), an
ordinary session, dictionaries in and out, the state kept by hand. All get the same weights, the same step and the same
frames; none is held back: PyTorch runs in inference mode, OpenVINO with its latency hint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sal_runtime.errors import InputError

REFERENCE = "torch eager"
"""Speeds are told against it, and its maps are what all others are held to."""


@dataclass(frozen=True)
class Contestant:
    """One way to run a checkpoint."""

    name: str
    family: Literal["torch", "plain", "ours"]
    precision: str
    """Of the convolutions: such as ``fp32`` or ``int8``; equals are compared with equals."""
    opens: str
    """``module:function`` that opens it in the worker, given the material's path, threads and options."""
    material: str
    """What it needs made: see :mod:`sal_bench.peers.material`."""
    options: dict[str, Any] = field(default_factory=dict)
    """For that function."""
    note: str = ""
    """What a reader must know of it."""


_TORCH, _PLAIN, _OURS = (f"sal_bench.peers.{name}" for name in ("torch_forms", "plain", "ours"))
_FORMS, _OPEN_OURS, _ONNXRUNTIME = f"{_TORCH}:open_torch", f"{_OURS}:open_ours", {"backend": "onnxruntime"}
_ORT, _OPENVINO = f"{_PLAIN}:open_onnxruntime", f"{_PLAIN}:open_openvino"
_ORT_INT8 = "quantised by onnxruntime (QDQ, convolutions, per channel, MinMax)"
_NNCF = "quantised by nncf.quantize with its defaults"

CONTESTANTS = (
    Contestant(REFERENCE, "torch", "fp32", _FORMS, "network", {"channels_last": False}),
    Contestant("torch channels-last", "torch", "fp32", _FORMS, "network"),
    Contestant("torch bf16 channels-last", "torch", "bf16", _FORMS, "network", {"dtype": "bfloat16"}),
    Contestant("torch.compile", "torch", "fp32", _FORMS, "network", {"compiled": True}),
    Contestant("torch.compile bf16", "torch", "bf16", _FORMS, "network", {"dtype": "bfloat16", "compiled": True}),
    Contestant("plain onnxruntime fp32", "plain", "fp32", _ORT, "unfolded"),
    Contestant("plain openvino fp32", "plain", "fp32", _OPENVINO, "unfolded", {"precision": "f32"}),
    Contestant("plain openvino bf16", "plain", "bf16", _OPENVINO, "unfolded", {"precision": "bf16"}),
    Contestant("plain onnxruntime int8", "plain", "int8", _ORT, "unfolded-int8", note=_ORT_INT8),
    Contestant("plain openvino int8", "plain", "int8", _OPENVINO, "unfolded-int8", note=_ORT_INT8),
    Contestant("plain openvino nncf int8", "plain", "int8", _OPENVINO, "unfolded-nncf", note=_NNCF),
    *(
        Contestant(
            f"ours {precision} {engine}",
            "ours",
            precision,
            _OPEN_OURS,
            # The form that was measured to be the fastest for this engine: what sal-export makes for --target.
            f"ours {'int8' if precision == 'int8' else 'fp32'} {engine}{'-bf16' if precision == 'bf16' else ''}",
            {"backend": engine, "precision": "bf16" if precision == "bf16" else "auto"},
        )
        for precision, engine in (
            ("fp32", "onnxruntime"),
            ("fp32", "openvino"),
            ("bf16", "openvino"),
            ("int8", "onnxruntime"),
            ("int8", "openvino"),
        )
    ),
)
"""In the order of the report."""


_TF32 = "with PyTorch's defaults, which round to TF32 within convolutions"
_CUDA: dict[str, Any] = {"device": "cuda"}

_GPU_PLAYERS = (
    Contestant(REFERENCE, "torch", "fp32", _FORMS, "network", {**_CUDA, "channels_last": False}, _TF32),
    Contestant("torch.compile", "torch", "fp32", _FORMS, "network", {**_CUDA, "compiled": True}, _TF32),
    Contestant(
        "torch fp16 channels-last, graph", "torch", "fp16", _FORMS, "network",
        {**_CUDA, "dtype": "float16", "graphs": True},
    ),
    Contestant("ours fp32 onnxruntime", "ours", "fp32", _OPEN_OURS, "ours fp32 tensorrt", {**_CUDA, **_ONNXRUNTIME}),
    Contestant("ours fp16 onnxruntime", "ours", "fp16", _OPEN_OURS, "ours fp16 tensorrt", {**_CUDA, **_ONNXRUNTIME}),
)  # fmt: skip


def gpu_contestants(backend: str = "tensorrt", device_api: str = "cuda.core") -> tuple[Contestant, ...]:
    """Who takes part on a GPU.

    Args:
        backend: ``tensorrt`` (TensorRT's own or the one for RTX, whichever is installed) or ``tensorrt-rtx``.
        device_api: that it is run with.
    """
    engines = tuple(
        Contestant(
            f"ours {precision} {backend}{how}", "ours", precision, _OPEN_OURS, f"ours {precision} tensorrt",
            {**_CUDA, "backend": backend, "graphs": not how, "device_api": device_api},
        )
        for precision, how in (("fp32", ""), ("fp16", ""), ("fp16", ", no graphs"), ("int8", ""), ("fp8", ""))
    )  # fmt: skip
    return (*_GPU_PLAYERS, *engines)


def chosen(names: Sequence[str], entered: Sequence[Contestant] = CONTESTANTS) -> tuple[Contestant, ...]:
    """Those whose names hold one of ``names``; all without any.

    Raises:
        InputError: a name that fits nobody.
    """
    for name in names:
        if not any(name in contestant.name for contestant in entered):
            known = ", ".join(contestant.name for contestant in entered)
            raise InputError(f"no contestant is called {name!r}; there are {known}")
    return tuple(c for c in entered if not names or any(name in c.name for name in names))
