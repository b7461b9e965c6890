"""What a user may ask of an export, and the choices there are. Nothing here needs PyTorch or onnx."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from sal_export.parity import FRAMES
from sal_export.trajectories import KEPT

Precision = Literal["fp32", "fp16", "int8", "fp8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

FoldForm = Literal["none", "transposed", "shuffle", "phases"]
FOLD_FORMS: tuple[FoldForm, ...] = get_args(FoldForm)

Target = Literal["cpu", "onnxruntime", "openvino", "openvino-bf16", "tensorrt", "tensorrt-rtx"]
TARGETS: tuple[Target, ...] = get_args(Target)
"""Where an artifact is to run: ``cpu`` is the faster of the two engines for CPUs; ``openvino-bf16`` means an fp32
artifact that will be run with ``sal-run --precision bf16``; ``tensorrt-rtx`` names the library for desktop RTX."""

OPSET = 18
"""Read by TensorRT 10.3 (JetPack 6.2), OpenVINO and every ONNX Runtime that we support."""


def for_tensorrt(target: str) -> bool:
    """Whether a target is one of TensorRT's libraries."""
    return target.startswith("tensorrt")


@dataclass(frozen=True)
class ExportOptions:
    """How a checkpoint becomes an ``.onnx``."""

    precision: str = "fp32"
    height: int = 192
    width: int = 256
    batch: int | None = 1
    """Fixed batch size, or None for any."""
    opset: int = OPSET
    fold: FoldForm | Literal["auto"] = "auto"
    parity_source: str = "demo"
    parity_frames: int = FRAMES
    exist_ok: bool = False
    target: str = "cpu"
    """Where the artifact is to run: decides ``auto`` folding, and for int8 how activations are quantised."""
    calib: str = "demo"
    """int8: the clips along which ranges are taken."""
    calib_frames: int = KEPT
    quant_exclude: tuple[str, ...] = ()
    """int8: parts of names of convolutions that stay float."""
    parity_backend: str | None = None
    """What runs the artifact in the check; None: what it is for, where that is installed, else ONNX Runtime."""
    device_resize: tuple[int, int] | None = None
    """Height and width of whole frames that the graph makes small itself; None where the host does."""
