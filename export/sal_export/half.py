"""fp16 in the graph: convolutions in half precision, states and their arithmetic in float32.

Features of unscaled pixels can pass fp16's largest number, 65504. A ReLU, a pooling and an upsampling are positively
homogeneous, so a power of two taken out of one convolution and put back into the next changes the range between them
and nothing else: powers of two are exact.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from sal_runtime.errors import ParityError
from sal_train.models import RecurrentNetwork, SalNetwork

HEADROOM = 2.0**13
"""Largest activation allowed on the frames looked at: an eighth of fp16's range, for frames that were not."""


def to_half(network: RecurrentNetwork) -> RecurrentNetwork:
    """A copy whose convolutions compute in fp16; the pixels' mean, the states, alpha and the sigmoid stay float32."""
    network = copy.deepcopy(network)
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d):
            module.half()
        for name, child in module.named_children():
            if isinstance(child, nn.Sigmoid):
                setattr(module, name, _Float32Sigmoid())
    return network


class _Float32Sigmoid(nn.Module):
    """A sigmoid on float32: in fp16 its values above a half would be 0.0005 apart."""

    def forward(self, x: Tensor) -> Tensor:
        return x.float().sigmoid()


def activation_peaks(network: SalNetwork, frames: Iterable[Tensor]) -> dict[int, float]:
    """The largest absolute output of every convolution of the flat sequence over some frames, each a first frame.

    Args:
        network: in float32.
        frames: uint8 [1, H, W, 3] each.
    """
    peaks: dict[int, float] = {}

    def watch(index: int, output: Tensor) -> None:
        peaks[index] = max(peaks.get(index, 0.0), float(output.abs().max()))

    hooks = [
        layer.register_forward_hook(lambda _m, _i, output, index=index: watch(index, output))
        for index, layer in enumerate(network.salgan)
        if isinstance(layer, nn.Conv2d)
    ]
    try:
        with torch.inference_mode():
            for frame in frames:
                states = network.initial_states(1, frame.shape[1], frame.shape[2])
                network.step(frame, torch.zeros(1, 1), *states)
    finally:
        for hook in hooks:
            hook.remove()
    return peaks


def rescale(network: SalNetwork, peaks: dict[int, float]) -> dict[int, int]:
    """Move powers of two between convolutions, in place, so that no activation passes :data:`HEADROOM`.

    A state is seen from outside, and so is the map: what feeds a recurrence, what it gives, and the last layer keep
    their scale.

    Returns:
        the exponent by which each changed layer's output was divided, by layer.

    Raises:
        ParityError: a layer at a recurrence passes the range itself.
    """
    convolutions = [index for index, layer in enumerate(network.salgan) if isinstance(layer, nn.Conv2d)]
    fixed = {convolutions[-1]}
    for recurrence in network.config.recurrences:
        fixed.add(max(i for i in convolutions if i <= recurrence.index))
        if recurrence.residual or recurrence.kind == "convlstm":
            fixed.add(max(i for i in convolutions if i < recurrence.index))
    exponents = {i: max(0, math.ceil(math.log2(max(peaks[i], 1e-30) / HEADROOM))) for i in convolutions}
    before = 0
    for index in convolutions:
        layer = network.salgan[index]
        assert isinstance(layer, nn.Conv2d)
        after = 0 if index in fixed else exponents[index]
        if index in fixed and peaks[index] > 65504.0:
            raise ParityError(
                f"layer {index} reaches {peaks[index]:.0f}, above fp16's 65504, and its scale is fixed by the "
                "recurrence at it; export in fp32"
            )
        layer.weight.data.mul_(2.0 ** (before - after))
        if layer.bias is not None:
            layer.bias.data.mul_(2.0**-after)
        before = after
    return {index: exponents[index] for index in convolutions if exponents[index] and index not in fixed}
