"""Exact rewritings of layers before tracing: batch normalisation into its convolution, and the upsampling fold.

The upsampling fold: nearest x2 followed by a 3x3 convolution, computed on the small picture.

Each output pixel of that pair reads only a 2x2 neighbourhood of the small picture, with taps that fall on the same
pixel summed; which taps, depends on whether its row and column are even or odd. That is exact in real numbers and
takes 4/9 of the multiplications. Three ways of writing it: one transposed convolution (kernel 4, stride 2, padding 1);
one 2x2 convolution with four times the channels whose output is unshuffled into the picture; or four 2x2 convolutions,
one a phase, padded each on its own two sides, whose outputs are interleaved. Which is faster depends on the engine and
the precision: docs/fold.md has the measurements, :mod:`sal_export.fold_choice` picks by them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from sal_export.options import FoldForm
from sal_train.models import RecurrentNetwork


def fold_upsampling(network: RecurrentNetwork, form: FoldForm) -> RecurrentNetwork:
    """A copy of the network in which every foldable pair is folded; the original is not touched.

    A pair is a nearest x2 ``Upsample`` directly before a 3x3 ``Conv2d`` (stride 1, padding 1) in one ``ModuleList`` or
    ``Sequential``, with no recurrence at the upsampling.
    """
    network = copy.deepcopy(network)
    if form == "none":
        return network
    for row, index in list(_pairs(network)):
        second = row[index + 1]
        assert isinstance(second, nn.Conv2d)
        row[index], row[index + 1] = nn.Identity(), _WRITTEN_AS[form](second)
    return network


def is_foldable(network: RecurrentNetwork) -> bool:
    """Whether there is a pair to fold at all."""
    return any(True for _ in _pairs(network))


def _pairs(network: RecurrentNetwork) -> Iterator[tuple[nn.ModuleList | nn.Sequential, int]]:
    """Every pair: the row that holds it and the place of its upsampling."""
    for row in [m for m in network.modules() if isinstance(m, nn.ModuleList | nn.Sequential)]:
        for index in range(len(row) - 1):
            between = row is getattr(network, "salgan", None) and str(index) in network.recurrences
            if _is_doubling(row[index]) and _is_plain_3x3(row[index + 1]) and not between:
                yield row, index


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
        kernel = _phase_kernels(conv)[[1, 0]][:, [1, 0]].permute(2, 0, 1, 3, 4, 5)  # odd before even
        self.conv = nn.Conv2d(conv.in_channels, 4 * conv.out_channels, 2, padding=1, bias=conv.bias is not None)
        self.conv.weight.data = kernel.reshape(-1, conv.in_channels, 2, 2).to(conv.weight.dtype)
        if conv.bias is not None and self.conv.bias is not None:
            self.conv.bias.data = conv.bias.detach().repeat_interleave(4)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to [B, C_out, 2h, 2w]."""
        return functional.pixel_shuffle(self.conv(x), 2)[:, :, 1:-1, 1:-1]


class UpsampleByPhases(nn.Module):
    """Nearest x2 and a 3x3 convolution as four 2x2 convolutions whose outputs are interleaved.

    An even output row 2i reads the small rows i-1 and i, an odd one 2i+1 reads i and i+1: the padding is one row above,
    or one below; columns alike.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        kernels = _phase_kernels(conv)
        self.phases = nn.ModuleList()
        for row in range(2):
            for column in range(2):
                phase = nn.Conv2d(conv.in_channels, conv.out_channels, 2, bias=conv.bias is not None)
                phase.weight.data = kernels[row, column].to(conv.weight.dtype)
                if conv.bias is not None and phase.bias is not None:
                    phase.bias.data = conv.bias.detach().clone()
                self.phases.append(phase)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, h, w] to [B, C_out, 2h, 2w]."""
        even_even, even_odd, odd_even, odd_odd = (
            phase(functional.pad(x, (1 - index % 2, index % 2, 1 - index // 2, index // 2)))
            for index, phase in enumerate(self.phases)
        )
        even = torch.stack([even_even, even_odd], dim=-1).flatten(-2)
        odd = torch.stack([odd_even, odd_odd], dim=-1).flatten(-2)
        return torch.stack([even, odd], dim=-2).flatten(-3, -2)


def _phase_kernels(conv: nn.Conv2d) -> Tensor:
    """float64 [2, 2, C_out, C_in, 2, 2]: the summed taps for even and odd rows, then for even and odd columns."""
    even = torch.tensor([[1, 0, 0], [0, 1, 1]], dtype=torch.float64)
    odd = torch.tensor([[1, 1, 0], [0, 0, 1]], dtype=torch.float64)
    taps = torch.stack([even, odd])
    return torch.einsum("pya,oiab,qxb->pqoiyx", taps, conv.weight.detach().double(), taps)


_WRITTEN_AS: dict[FoldForm, Callable[[nn.Conv2d], nn.Module]] = {
    "transposed": transposed,
    "shuffle": UpsampleByShuffle,
    "phases": UpsampleByPhases,
}


def _is_doubling(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Upsample) and layer.mode == "nearest" and float(layer.scale_factor or 0) == 2.0  # type: ignore[arg-type]


def _is_plain_3x3(layer: nn.Module) -> bool:
    return isinstance(layer, nn.Conv2d) and (layer.kernel_size, layer.stride, layer.padding, layer.groups) == (
        (3, 3),
        (1, 1),
        (1, 1),
        1,
    )
