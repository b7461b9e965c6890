"""int8 in the graph: Q/DQ pairs in front of convolutions, weights per channel, everything else in float32.

Only what goes *into* a convolution is quantised, never what comes out of it. The blend of an EMA and the gates of a
ConvLSTM thus read a convolution's full result, states and their arithmetic stay float32, and the next convolution's
input is quantised once, behind its ReLU. Quantising outputs as well (onnxruntime's default) was measured worse on
trained SalEMA30 (least CC .9995 against .9998) and compact-ema (.9960 against .9977), and slower.

Ranges are the least and the largest value seen along real trajectories (:mod:`sal_export.trajectories`). For a CPU
activations are uint8 with a zero point, which behind a ReLU doubles the resolution and is what VNNI multiplies; for
TensorRT they are int8 about zero, and biases stay float.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from sal_export.float8 import to_float8
from sal_export.hoist import hoist_quantisation
from sal_export.trajectories import Trajectory
from sal_runtime.arrays import AnyArray
from sal_runtime.errors import InputError

OPERATORS = ("Conv", "ConvTranspose")
"""What is quantised; nothing else."""


def quantise(
    model: onnx.ModelProto,
    scratch: Path,
    seen: Trajectory,
    symmetric: bool,
    exclude: Sequence[str] = (),
    float8: bool = False,
) -> onnx.ModelProto:
    """The model with Q/DQ pairs at its convolutions; ``model`` itself may be changed.

    Args:
        model: the float32 step.
        scratch: a file to write to; it is overwritten.
        seen: inputs along trajectories.
        symmetric: for TensorRT: int8 activations about zero and float biases; else uint8 with a zero point.
        exclude: parts of names of convolutions (of their weights) that stay float.
        float8: e4m3 in place of int8; symmetric only.

    Raises:
        InputError: an exclusion that fits no convolution.
    """
    layers = {node.name: node.input[1] for node in model.graph.node if node.op_type in OPERATORS}
    for part in exclude:
        if not any(part in weight for weight in layers.values()):
            raise InputError(f"no convolution's name has {part!r} in it; they are {', '.join(layers.values())}")
    floats = onnx.ModelProto()
    if float8:
        floats.CopyFrom(model)
    _part(model.graph)
    kept_float = [name for name, weight in layers.items() if any(part in weight for part in exclude)]
    with _quietly():
        quantize_static(
            model,
            str(scratch),
            _Reader(seen.inputs),
            op_types_to_quantize=list(OPERATORS),
            nodes_to_exclude=kept_float,
            per_channel=True,
            activation_type=QuantType.QInt8 if symmetric else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": symmetric,
                "QuantizeBias": not symmetric,
                "OpTypesToExcludeOutputQuantization": list(OPERATORS),
            },
        )
    quantised = onnx.load(str(scratch))
    _join(quantised.graph)
    if float8:
        to_float8(quantised, floats)
    if not symmetric:  # what TensorRT makes of such pairs was not measured, and it moves them by itself
        hoist_quantisation(quantised.graph)
    quantised.producer_name = model.producer_name
    del quantised.metadata_props[:]
    return quantised


def describe_quantisation(
    source: str, mirrored: bool, seen: Trajectory, symmetric: bool, exclude: Sequence[str], float8: bool = False
) -> dict[str, object]:
    """What the manifest says of it."""
    kind = "float8 e4m3" if float8 else "int8"
    return {
        "format": "Q/DQ",
        "operators": list(OPERATORS),
        "weights": f"{kind}, symmetric, per channel",
        "activations": f"{kind}, symmetric" if symmetric else "uint8, asymmetric",
        "biases": "float32" if symmetric else "int32",
        "target": "tensorrt" if symmetric else "cpu",
        "float_layers": list(exclude),
        "ranges": "least and largest value",
        "calibration": {
            "source": source + (", mirrored" if mirrored else ""),
            "clips": len(seen.clips),
            "frames": len(seen.inputs),
            "frames_that_start_anew": seen.restarts,
            "rule": "at most half are starts and the steps after them, the rest evenly along the replay",
        },
    }


_OWN = "_into_conv"


def _part(graph: onnx.GraphProto) -> None:
    """Give convolutions a copy of their own of what others read as well.

    The quantiser puts its pair into the tensor itself, and whoever else reads it (a residual's sum, a ConvLSTM's tanh,
    the caller as a state) would then see eight bits.
    """
    outside = {output.name for output in graph.output}
    convolutions = [node for node in graph.node if node.op_type in OPERATORS]
    for name in dict.fromkeys(node.input[0] for node in convolutions):
        readers = [node for node in graph.node if name in node.input]
        if name not in outside and all(node.op_type in OPERATORS for node in readers):
            continue
        for node in convolutions:
            if node.input[0] == name:
                node.input[0] = name + _OWN
        first = min(i for i, node in enumerate(graph.node) if name + _OWN in node.input)
        graph.node.insert(first, onnx.helper.make_node("Identity", [name], [name + _OWN], name=name + _OWN))


def _join(graph: onnx.GraphProto) -> None:
    """Take the copies away again: the pairs read the tensor, and nobody else reads the pairs."""
    for copy in [node for node in graph.node if node.op_type == "Identity" and node.name.endswith(_OWN)]:
        for node in graph.node:
            for place, name in enumerate(node.input):
                if name == copy.output[0]:
                    node.input[place] = copy.input[0]
        graph.node.remove(copy)


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands the kept steps out one by one, as the quantiser wants them."""

    def __init__(self, inputs: Sequence[dict[str, AnyArray]]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        return next(self._inputs, None)


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep the quantiser's advice to preprocess away from the user: the graph is already folded."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
