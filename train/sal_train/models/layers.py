"""The table of the 62 layers: VGG-16 up to its last convolution, then the same mirrored (paper, section 3).

The numbering is the paper's, and so is the meaning of "30" in SalEMA30. Sources: SalGAN's topology as the paper adopts
it; widths of the decoder as in the released checkpoints.
"""

from __future__ import annotations

from torch import nn

FIRST_CHANNELS = 64
"""Channels of layer 0 at width 1; a checkpoint's width shows here."""

_ENCODER = (FIRST_CHANNELS, 64, "pool", 128, 128, "pool", 256, 256, 256, "pool", 512, 512, 512, "pool", 512, 512, 512)
_DECODER = (512, 512, 512, "up", 512, 512, 512, "up", 256, 256, 256, "up", 128, 128, "up", 64, 64)

STRIDE = 16
"""Sides of a frame are multiples of this: four poolings halve them."""


def build_layers(width: float = 1.0) -> nn.ModuleList:
    """The 62 modules in order; ``width`` scales the channels of every layer but the input's 3 and the output's 1."""
    layers: list[nn.Module] = []
    channels = 3
    for entry in (*_ENCODER, *_DECODER):
        if isinstance(entry, int):
            wide = scaled(entry, width)
            layers += [nn.Conv2d(channels, wide, kernel_size=3, padding=1), nn.ReLU()]
            channels = wide
        else:
            layers.append(nn.MaxPool2d(2) if entry == "pool" else nn.Upsample(scale_factor=2, mode="nearest"))
    layers += [nn.Conv2d(channels, 1, kernel_size=1), nn.Sigmoid()]
    return nn.ModuleList(layers)


def scaled(channels: int, width: float) -> int:
    """A layer's channels at a width factor, at least one."""
    return max(1, round(channels * width))


def channels_and_stride(layers: nn.ModuleList, index: int) -> tuple[int, int]:
    """Channels of layer ``index``'s output, and how many pixels of the frame one of its cells spans on each axis."""
    channels, stride = 3, 1.0
    for layer in layers[: index + 1]:
        if isinstance(layer, nn.Conv2d):
            channels = layer.out_channels
        elif isinstance(layer, nn.MaxPool2d):
            stride *= 2
        elif isinstance(layer, nn.Upsample):
            stride /= 2
    return channels, int(stride)
