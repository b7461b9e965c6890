"""Exact rewritings of layers before tracing: batch normalisation into its convolution, and the upsampling fold.

The upsampling fold: nearest x2 followed by a 3x3 convolution, computed on the small picture.

Each output pixel of that pair reads only a 2x2 neighbourhood of the small picture, with taps that fall on the same
pixel summed; which taps, depends on whether its row and column are even or odd. That is exact in real numbers and
takes 4/9 of the multiplications. Two ways of writing it: one transposed convolution (kernel 4, stride 2, padding 1),
or one 2x2 convolution with four times the channels whose output is unshuffled into the picture. Which is faster
depends on the engine.
"""

from __future__ import annotations

import copy
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sal_train.models import RecurrentNetwork

FoldForm = Literal["none", "transposed", "shuffle"]


def fold_upsampling(network: RecurrentNetwork, form: FoldForm) -> RecurrentNetwork:
    """A copy of the network in which every foldable pair is folded; the original is not touched.

    A pair is a nearest x2 ``Upsample`` directly before a 3x3 ``Conv2d`` (stride 1, padding 1) in one ``ModuleList`` or
    ``Sequential``, with no recurrence at the upsampling.
    """
    network = copy.deepcopy(network)
    if form == "none":
        return network
    for row in [m for m in network.modules() if isinstance(m, nn.ModuleList | nn.Sequential)]:
        for index in range(len(row) - 1):
            first, second = row[index], row[index + 1]
            between = row is getattr(network, "salgan", None) and str(index) in network.recurrences
            if _is_doubling(first) and _is_plain_3x3(second) and not between:
                assert isinstance(second, nn.Conv2d)
                row[index] = nn.Identity()
                row[index + 1] = transposed(second) if form == "transposed" else UpsampleByShuffle(second)
    return network


def fold_batch_norm(network: RecurrentNetwork) -> RecurrentNetwork:
    """A copy in evaluation mode in which every convolution has taken up the batch normalisation that follows it."""
    network = copy.deepcopy(network).eval()
    for row in [m for m in network.modules() if isinstance(m, nn.Sequential)]:
        for index in range(len(row) - 1):
            conv, norm = row[index], row[index + 1]
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                row[index], row[index + 1] = fuse_conv_bn_eval(conv, norm), nn.Identity()
    return network


def transposed(conv: nn.Conv2d) -> nn.ConvTranspose2d:
    """Nearest x2 and ``conv`` as one transposed convolution.

    In one dimension, out[2i] = w0 x[i-1] + (w1 + w2) x[i] and out[2i+1] = (w0 + w1) x[i] + w2 x[i+1]; a transposed
    convolution gives out[2i] = k3 x[i-1] + k1 x[i] and out[2i+1] = k2 x[i] + k0 x[i+1].
    """
    taps = torch.tensor([[0, 0, 1], [0, 1, 1], [1, 1, 0], [1, 0, 0]], dtype=torch.float64)
    folded = nn.ConvTranspose2d(conv.in_channels, conv.out_channels, 4, stride=2, padding=1, bias=conv.bias is not None)
    kernel = torch.einsum("ya,oiab,xb->ioyx", taps, conv.weight.detach().double(), taps)
    folded.weight.data = kernel.to(conv.weight.dtype)
    if conv.bias is not None and folded.bias is not None:
        folded.bias.data = conv.bias.detach().clone()
    return folded


class UpsampleByShuffle(nn.Module):
    """Nearest x2 and a 3x3 convolution as one 2x2 convolution, a pixel shuffle and a crop.

    With one cell of padding, window j covers the small rows j-1 and j. It gives output row 2j-1 (odd phase) and output
    row 2j (even phase), so the shuffled picture is the output with one row too many at either end; columns alike.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        odd = torch.tensor([[1, 1, 0], [0, 0, 1]], dtype=torch.float64)
        even = torch.tensor([[1, 0, 0], [0, 1, 1]], dtype=torch.float64)
        phases = torch.stack([odd, even])
        kernel = torch.einsum("pya,oiab,qxb->opqiyx", phases, conv.weight.detach().double(), phases)
        self.conv = nn.Conv2d(conv.in_channels, 4 * conv.out_channels, 2, padding=1, bias=conv.bias is not None)
        self.conv.weight.data = kernel.reshape(-1, conv.in_channels, 2, 2).to(conv.weight.dtype)
        if conv.bias is not None and self.conv.bias is not None:
            self.conv.bias.data = conv.bias.detach().repeat_interleave(4)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to [B, C_out, 2h, 2w]."""
        return functional.pixel_shuffle(self.conv(x), 2)[:, :, 1:-1, 1:-1]


def _is_doubling(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Upsample) and layer.mode == "nearest" and float(layer.scale_factor or 0) == 2.0  # type: ignore[arg-type]


def _is_plain_3x3(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and (layer.kernel_size, layer.stride, layer.padding, layer.groups) == (
        (3, 3),
        (1, 1),
        (1, 1),
        1,
    )
