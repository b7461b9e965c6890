"""SalGAN's adversarial term (Pan et al. 2017), as an option of SalBCE's recipe.

A discriminator sees a frame and a map and tells whether the map is a person's. The network is trained to be taken for
one, beside its content loss; the two take turns, batch by batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

CONTENT = 0.005
"""Weight of the content loss beside the adversarial one (SalGAN, eq. 5)."""


class Discriminator(nn.Module):
    """SalGAN's table 2: six convolutions, three poolings, three fully connected layers, for pictures of one size."""

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *_convolution(4, 3, kernel=1), *_convolution(3, 32), nn.MaxPool2d(2),
            *_convolution(32, 64), *_convolution(64, 64), nn.MaxPool2d(2),
            *_convolution(64, 64), *_convolution(64, 64), nn.MaxPool2d(2),
        )  # fmt: skip
        self.verdict = nn.Sequential(
            nn.Linear(64 * (height // 8) * (width // 8), 100), nn.Tanh(), nn.Linear(100, 2), nn.Tanh(), nn.Linear(2, 1)
        )

    def forward(self, frames: Tensor, maps: Tensor) -> Tensor:
        """The logit that the maps are real: frames [N, H, W, 3] of 0 to 255, maps [N, H, W] of 0 to 1, gives [N]."""
        picture = frames.float().permute(0, 3, 1, 2) / 127.5 - 1.0
        verdict: Tensor = self.verdict(self.features(torch.cat([picture, maps[:, None]], dim=1)).flatten(1))
        return verdict[:, 0]


def discriminator_loss(discriminator: nn.Module, frames: Tensor, maps: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of telling predictions from targets; no gradient reaches the maps' network."""
    real, made = discriminator(frames, targets), discriminator(frames, maps.detach())
    real_loss = F.binary_cross_entropy_with_logits(real, torch.ones_like(real))
    return real_loss + F.binary_cross_entropy_with_logits(made, torch.zeros_like(made))


def adversarial_loss(discriminator: nn.Module, frames: Tensor, maps: Tensor) -> Tensor:
    """Cross-entropy of the predictions being taken for real."""
    verdict = discriminator(frames, maps)
    return F.binary_cross_entropy_with_logits(verdict, torch.ones_like(verdict))


def _convolution(inputs: int, outputs: int, kernel: int = 3) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2), nn.ReLU()
