"""The int8 graph for TensorRT turned into fp8: the same pairs at the same places, on a grid of e4m3 numbers.

The grids reach as far as those of int8 do; a scale is the largest value over 448, e4m3's largest, in place of 127.
Weights are taken from the float graph again, so that nothing is rounded twice. Ada, Hopper and later have arithmetic
for it; on a CPU it is computed in float32 behind the rounding, which serves the check.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
from onnx import numpy_helper

LARGEST = 448.0
"""Of e4m3 without infinities, ONNX's FLOAT8E4M3FN."""
OPSET = 19
"""The first in which Q/DQ know it."""
_STEPS = 127.0
_E4M3 = ml_dtypes.float8_e4m3fn


def to_float8(quantised: onnx.ModelProto, model: onnx.ModelProto) -> None:
    """Rewrite ``quantised`` in place.

    Args:
        quantised: from :func:`sal_export.quantise.quantise`, symmetric.
        model: what it was made from, in float32.
    """
    floats = {entry.name: entry for entry in model.graph.initializer}
    constants = {entry.name: entry for entry in quantised.graph.initializer}
    pairs = [node for node in quantised.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    for name in dict.fromkeys(node.input[1] for node in pairs):
        _replace(constants[name], (numpy_helper.to_array(constants[name]) * (_STEPS / LARGEST)).astype(np.float32))
    for name in dict.fromkeys(node.input[2] for node in pairs):
        _replace(constants[name], np.zeros(numpy_helper.to_array(constants[name]).shape, _E4M3))
    for node in pairs:
        if node.op_type == "DequantizeLinear" and node.input[0] in constants:
            weight = numpy_helper.to_array(floats[node.input[0].removesuffix("_quantized")])
            scale = numpy_helper.to_array(constants[node.input[1]])
            axis = next((entry.i for entry in node.attribute if entry.name == "axis"), 0)
            sized = scale.reshape([-1 if place == axis else 1 for place in range(weight.ndim)]) if scale.ndim else scale
            _replace(constants[node.input[0]], np.clip(weight / sized, -LARGEST, LARGEST).astype(_E4M3))


def _replace(entry: onnx.TensorProto, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> None:
    entry.CopyFrom(numpy_helper.from_array(values, entry.name))
