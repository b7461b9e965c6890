"""The compact network: for devices that cannot carry the paper's 40 GMAC a frame.

A small encoder of depthwise-separable blocks down to 1/32, its scales merged at 1/8; there stands the recurrence, the
same as in the paper's networks; a light decoder follows. 0.2 GMAC a frame at 192x256. Blocks are MobileNetV2's
(Sandler et al. 2018), the learnt prior is the old observation that people look at the middle.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from sal_train.models.config import NetworkConfig
from sal_train.models.layers import scaled
from sal_train.models.recurrence import EMA, ConvLSTM
from sal_train.models.recurrent import RecurrentNetwork

FUSION = 5
"""Where the recurrence stands: stages 0 to 3 go down to 1/4, 1/8, 1/16 and 1/32, 4 and 5 merge them at 1/16 and 1/8,
6 and 7 decode."""

_PIXEL_SCALE = 1.0 / 58.0
"""About one over a channel's standard deviation; batch normalisation wants inputs near 1."""


class CompactNetwork(RecurrentNetwork):
    """``compact-ema`` or ``compact-clstm``, as the configuration says."""

    def __init__(self, config: NetworkConfig) -> None:
        def wide(channels: int) -> int:
            return scaled(channels, config.width)

        state = wide(64)
        recurrences = [EMA(r) if r.kind == "ema" else ConvLSTM(r, state) for r in config.recurrences]
        super().__init__(config, recurrences, [(state, 8)] * len(recurrences))
        self.quarter = nn.Sequential(
            _conv(3, wide(24), 3, 2), _conv(wide(24), wide(64), 3, 2), _conv(wide(64), wide(32), relu=False)
        )
        self.eighth = _scale(wide(32), wide(64))
        self.sixteenth = _scale(wide(64), wide(96))
        self.coarsest = nn.Sequential(_scale(wide(96), wide(128)), _Context(wide(128)))
        self.from_coarsest = _conv(wide(128), wide(96), relu=False)
        self.merge = _Block(wide(96), 2)
        self.from_sixteenth = _conv(wide(96), state, relu=False)
        self.from_eighth = _conv(wide(64), state, relu=False)
        self.dropout = nn.Dropout2d(0.1)
        self.decoder = nn.Sequential(_Block(state, 2), _Block(state, 2))
        self.head = nn.Sequential(_conv(state, wide(48)), _conv(wide(48), wide(48), 3, groups=wide(48)))
        self.last = nn.Conv2d(wide(48), 1, 1)
        self.prior = nn.Parameter(torch.zeros(1, 1, 6, 8))
        blocks = [module for module in self.modules() if isinstance(module, _Block)]
        for index, block in enumerate(blocks):
            block.drop = 0.1 * (index + 1) / len(blocks)
        nn.init.normal_(self.last.weight, std=0.02)
        if self.last.bias is not None:
            nn.init.constant_(self.last.bias, -2.0)  # a map is mostly dark

    def pass_through(
        self, x: Tensor, carries: Sequence[Tensor], states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Encoder, recurrence, decoder; see the base."""
        size = x.shape[2:]
        eighth = self.eighth(self.quarter(x * _PIXEL_SCALE))
        sixteenth = self.sixteenth(eighth)
        sixteenth = sixteenth + _grow(self.from_coarsest(self.coarsest(sixteenth)), sixteenth, "nearest")
        fine = self.from_eighth(eighth)
        x = fine + _grow(self.from_sixteenth(self.merge(sixteenth)), fine, "bilinear")
        after: list[Tensor] = []
        for recurrence, carry in zip(self.recurrences.values(), carries, strict=True):
            x, *after = recurrence(nn.Identity(), x, carry, *states)
        logits = self.last(self.head(self.decoder(self.dropout(F.relu(x))))).float()
        logits = logits + _grow(self.prior.float(), logits, "bilinear")
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=False).sigmoid(), after


class _Block(nn.Module):
    """Expand (1x1), filter (depthwise 3x3), project (1x1, linear), add; whole samples skip it at times in training."""

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__()
        hidden = channels * factor
        self.body = nn.Sequential(
            _conv(channels, hidden), _conv(hidden, hidden, 3, groups=hidden), _conv(hidden, channels, relu=False)
        )
        self.drop = 0.0

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.body(x)
        if self.training and self.drop > 0.0:
            keep = torch.rand(x.shape[0], 1, 1, 1, device=x.device) >= self.drop
            y = y * (keep / (1.0 - self.drop)).to(y.dtype)
        return x + y


class _Context(nn.Module):
    """Adds to every position what the whole picture is about."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, max(1, channels // 2), 1)
        self.excite = nn.Conv2d(max(1, channels // 2), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3), keepdim=True)
        y: Tensor = self.excite(F.relu(self.squeeze(pooled)))
        return x + y


def _scale(inputs: int, outputs: int) -> nn.Sequential:
    """Halve the picture, then two blocks."""
    return nn.Sequential(_conv(inputs, outputs, 3, 2, relu=False), _Block(outputs, 3), _Block(outputs, 3))


def _conv(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, *, groups: int = 1, relu: bool = True
) -> nn.Sequential:
    """A convolution, its batch normalisation (folded into it at export), and perhaps a ReLU."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU()) if relu else nn.Sequential(*layers)


def _grow(x: Tensor, like: Tensor, mode: str) -> Tensor:
    """``x`` at the size of ``like``."""
    aligned = None if mode == "nearest" else False
    return F.interpolate(x, size=like.shape[2:], mode=mode, align_corners=aligned)
