"""A running average of the weights, which generalises better than the last step's (Polyak and Juditsky 1992)."""

from __future__ import annotations

import torch
from torch import nn


def blend_into(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move ``average`` towards ``network`` in place, statistics of batch normalisation included.

    Early steps are forgotten sooner: the decay is at most (1 + step) / (10 + step).
    """
    rate = 1.0 - min(decay, (1.0 + step) / (10.0 + step))
    own, other = average.state_dict(), network.state_dict()
    names = [name for name, tensor in own.items() if tensor.is_floating_point()]
    with torch.no_grad():
        torch._foreach_lerp_([own[name] for name in names], [other[name] for name in names], rate)
        for name in own.keys() - set(names):
            own[name].copy_(other[name])
