"""Q/DQ pairs moved up through what only moves values, so that a convolution's result leaves it in eight bits.

An engine fuses a convolution with the quantisation right behind it (and a ReLU between them). A pooling, an upsampling
or a reordering in between keeps the two apart, and the result is written and moved in float32. Quantising first is
exact: rounding to a grid is monotonic, so it commutes with taking a maximum, and it does not care where a value goes. A
ReLU in front of uint8 with zero point 0 does nothing that saturation does not do, and goes.

The pair below stays, with the same scale: engines look for both.
"""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

MOVES = ("MaxPool", "Resize", "DepthToSpace", "Slice", "Reshape", "Transpose", "Unsqueeze", "Squeeze", "Concat")
"""Operators that choose, repeat or reorder values; ``Resize`` only where it takes the nearest."""


def hoist_quantisation(graph: onnx.GraphProto) -> int:
    """Move every pair as far up as it goes, in place.

    Returns:
        how many pairs were added.
    """
    constants = {entry.name: entry for entry in graph.initializer}
    outputs = {output.name for output in graph.output}
    added = 0
    waiting = [node for node in graph.node if node.op_type == "QuantizeLinear" and node.input[0] not in constants]
    while waiting:
        quantise = waiting.pop()
        producers = {name: node for node in graph.node for name in node.output}
        above = producers.get(quantise.input[0])
        readers = sum(quantise.input[0] in node.input for node in graph.node)
        if above is None or readers != 1 or quantise.input[0] in outputs:
            continue
        if above.op_type == "Relu":
            source = producers.get(above.input[0])
            if source is not None and _only_moves(source) and _clips_at_zero(constants[quantise.input[2]]):
                quantise.input[0] = above.input[0]
                graph.node.remove(above)
                waiting.append(quantise)
            continue
        if not _only_moves(above):
            continue
        pairs = []
        for place in range(len(above.input) if above.op_type == "Concat" else 1):
            name = f"{above.input[place]}_hoisted_{added}"
            pairs.append(
                helper.make_node("QuantizeLinear", [above.input[place], *quantise.input[1:]], [name], name=name)
            )
            real = f"{name}_dq"
            pairs.append(helper.make_node("DequantizeLinear", [name, *quantise.input[1:]], [real], name=real))
            above.input[place] = real
            added += 1
        at = list(graph.node).index(above)
        for node in reversed(pairs):
            graph.node.insert(at, node)
        waiting += [node for node in graph.node[at : at + len(pairs)] if node.op_type == "QuantizeLinear"]
    return added


def _only_moves(node: onnx.NodeProto) -> bool:
    """Whether every value that comes out went in."""
    if node.op_type != "Resize":
        return node.op_type in MOVES
    mode = next((entry.s for entry in node.attribute if entry.name == "mode"), b"nearest")
    return bool(mode == b"nearest")


def _clips_at_zero(zero_point: onnx.TensorProto) -> bool:
    """Whether quantising by this zero point turns everything below nought into nought."""
    return zero_point.data_type == onnx.TensorProto.UINT8 and int(numpy_helper.to_array(zero_point)) == 0
