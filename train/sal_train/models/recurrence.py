"""The two recurrences of the paper. Each stands at one layer and has its state handed in and out.

In every precision the state and its arithmetic are float32; what leaves for the next layer takes the type of what came.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from sal_train.models.config import RecurrenceConfig


class EMA(nn.Module):
    """An exponential moving average of a layer's output: E = (1 - carry) * S + carry * E_prev (eq. 6 and 8)."""

    states = 1
    """Number of state tensors."""

    def __init__(self, config: RecurrenceConfig) -> None:
        super().__init__()
        self.config = config
        self.dropout = nn.Dropout2d(config.dropout)
        if config.learnt:
            self.raw_alpha = nn.Parameter(torch.tensor(math.log(config.alpha / (1.0 - config.alpha))))

    def alpha(self) -> Tensor:
        """The effective alpha, a scalar tensor: sigmoid(p) where learnt (eq. 8), else the configured constant."""
        return self.raw_alpha.sigmoid() if self.config.learnt else torch.tensor(self.config.alpha)

    def forward(self, layer: nn.Module, x: Tensor, carry: Tensor, before: Tensor) -> tuple[Tensor, Tensor]:
        """Run ``layer`` on ``x`` and average its output.

        Args:
            layer: the layer this recurrence stands at.
            x: its input [B, C_in, h, w].
            carry: float32 [B, 1], this average's own (see ``RecurrentNetwork.step``).
            before: float32 [B, C, h, w], the average after the previous frame.

        Returns:
            what goes on to the next layer, and the state float32 [B, C, h, w] (without the residual).
        """
        share = carry[:, :, None, None]
        average = (1.0 - share) * layer(self.dropout(x)).float() + share * before
        onward = average.to(x.dtype)
        return (onward + x if self.config.residual else onward), average


class ConvLSTM(nn.Module):
    """A convolutional LSTM in front of a layer, which then reads the cell C (eq. 1 to 5, and the text after them).

    The four convolutions are one, ``gates``, with outputs in the order input (the paper's update), forget, output,
    cell, as in the released checkpoints. Peephole weights are one value a channel, so that any frame size fits.
    """

    states = 2
    """Hidden and cell state, in this order."""

    def __init__(self, config: RecurrenceConfig, channels: int) -> None:
        super().__init__()
        self.config = config
        self.gates = nn.Conv2d(2 * channels, 4 * channels, kernel_size=3, padding=1)
        if config.peephole:
            self.peephole = nn.Parameter(torch.zeros(3, channels, 1, 1))

    def forward(
        self, layer: nn.Module, x: Tensor, carry: Tensor, hidden: Tensor, cell: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Advance the LSTM by one frame and run ``layer`` on its cell.

        Args:
            layer: the layer this recurrence stands before.
            x: S_t [B, C, h, w].
            carry: float32 [B, 1]; multiplies both states before the gates: 1 goes on, 0 starts anew.
            hidden: H_{t-1}, float32 [B, C, h, w].
            cell: C_{t-1}, float32 [B, C, h, w].

        Returns:
            the layer's output, H_t and C_t.
        """
        share = carry[:, :, None, None]
        hidden, cell = share * hidden, share * cell
        gates = self.gates(torch.cat([x, hidden.to(x.dtype)], dim=1)).float()
        update, forget, output, candidate = gates.chunk(4, dim=1)
        if self.config.peephole:
            weights = self.peephole.float()
            update, forget, output = update + weights[0] * cell, forget + weights[1] * cell, output + weights[2] * cell
        cell = forget.sigmoid() * cell + update.sigmoid() * candidate.tanh()
        hidden = output.sigmoid() * cell.tanh()
        return layer(cell.to(x.dtype)), hidden, cell
