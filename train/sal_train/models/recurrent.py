"""What every recurrent network of this project can do: one step, a clip as a loop over steps, and fresh states.

The step here IS the contract that artifacts obey (see :mod:`sal_runtime.manifest`): the exporter traces it as it
stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sal_train.models.config import NetworkConfig
from sal_train.models.recurrence import EMA, ConvLSTM

PIXEL_MEAN = (103.939, 116.779, 123.68)
"""Mean of B, G, R that the paper's networks were trained with (VGG's); pixels are not scaled."""


class RecurrentNetwork(nn.Module):
    """Base of the networks: subclasses say what the layers are and where a frame passes the recurrences."""

    stride = 16
    """Sides of a frame must be multiples of this."""

    mean: Tensor

    def __init__(
        self, config: NetworkConfig, recurrences: Sequence[EMA | ConvLSTM], outputs: Sequence[tuple[int, int]]
    ) -> None:
        """Take the recurrences of ``config``, in order, and the channels and stride of each one's state."""
        super().__init__()
        self.config = config
        self._outputs = list(outputs)
        self.recurrences = nn.ModuleDict(
            {str(r.index): module for r, module in zip(config.recurrences, recurrences, strict=True)}
        )
        self.register_buffer("mean", torch.tensor(PIXEL_MEAN), persistent=False)

    def pass_through(
        self, x: Tensor, carries: Sequence[Tensor], states: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Carry prepared pixels [B, 3, H, W] through all layers.

        Args:
            x: pixels minus their mean, in the layers' type.
            carries: float32 [B, 1] for each recurrence.
            states: float32, all states in order.

        Returns:
            the map [B, 1, H, W] and the new states.
        """
        raise NotImplementedError

    @property
    def dtype(self) -> torch.dtype:
        """The type the layers compute in."""
        return next(m.weight.dtype for m in self.modules() if isinstance(m, nn.Conv2d))

    def step(self, frame: Tensor, carry: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """One frame: ``saliency, *states = network.step(frame, carry, *states)``.

        Args:
            frame: uint8 or float [B, H, W, 3], BGR, 0 to 255; H and W are multiples of ``stride``.
            carry: float32 [B, 1], the share of the previous state that enters; 0 starts anew (E = S on the first
            frame). states: float32 [B, C, h, w] each; zeros at the start.

        Returns:
            saliency float32 [B, H, W] of 0 to 1, then the new states.
        """
        # Cast before the transposition: TensorRT refuses any other operation on uint8.
        x = (frame.float() - self.mean).permute(0, 3, 1, 2).to(self.dtype)
        x, after = self.pass_through(x, self._own_carries(carry), states)
        return (x.float()[:, 0], *after)

    def clip(self, frames: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        """A clip, frame by frame through :meth:`step`.

        Args:
            frames: [B, T, H, W, 3] as in ``step``, T consecutive frames at the reference rate.
            states: of the clip before, if this one follows it; without them the first frame starts anew.

        Returns:
            saliency float32 [B, T, H, W], then the states after the last frame.
        """
        carry = self.normal_carry(frames.shape[0]).to(frames.device)
        carries = [carry] * frames.shape[1]
        if not states:
            carries[0] = torch.zeros_like(carry)
            states = self.initial_states(frames.shape[0], frames.shape[2], frames.shape[3], frames.device)
        maps = []
        for frame, share in zip(frames.unbind(1), carries, strict=True):
            saliency, *states = self.step(frame, share, *states)  # type: ignore[assignment]
            maps.append(saliency)
        return (torch.stack(maps, dim=1), *states)

    forward = clip

    def normal_carry(self, batch: int) -> Tensor:
        """float32 [B, 1] between two frames at the reference rate; differentiable where alpha is learnt."""
        emas = [module for module in self.recurrences.values() if isinstance(module, EMA)]
        value = 1.0 - emas[0].alpha().float() if emas else torch.tensor(1.0 if self.recurrences else 0.0)
        return value.expand(batch, 1)

    def state_shapes(self, height: int, width: int) -> list[tuple[int, int, int]]:
        """(C, h, w) of every state for frames of that size."""
        shapes = []
        for (channels, stride), module in zip(self._outputs, self.recurrences.values(), strict=True):
            assert isinstance(module, EMA | ConvLSTM)
            shapes += [(channels, height // stride, width // stride)] * module.states
        return shapes

    def initial_states(
        self, batch: int, height: int, width: int, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, ...]:
        """Zero states for frames of that size."""
        return tuple(torch.zeros(batch, *shape, device=device) for shape in self.state_shapes(height, width))

    def _own_carries(self, carry: Tensor) -> list[Tensor]:
        """``carry`` as each recurrence means it: it speaks of the first EMA; another alpha takes a power of it.

        With carry = (1 - a1) ** t, an EMA with a2 needs (1 - a2) ** t = carry ** (log(1 - a2) / log(1 - a1)).
        """
        own: list[Tensor] = []
        first: Tensor | None = None
        for module in self.recurrences.values():
            if not isinstance(module, EMA):
                own.append(carry)
                continue
            alpha = module.alpha()
            first = alpha if first is None else first
            exponent = 1.0 if alpha is first else math.log1p(-alpha.item()) / math.log1p(-first.item())
            own.append(carry if exponent == 1.0 else carry**exponent)
        return own
