"""What training minimises: how far predicted maps are from where people looked.

Each term is a number a frame; frames without a label count in none.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor


@dataclass(frozen=True)
class LossWeights:
    """The share of each term; 0 leaves it out."""

    bce: float = 1.0
    """Binary cross-entropy over the pixels (eq. 7)."""
    kl: float = 0.0
    """KL divergence of the map from the target, both as distributions, in nats."""
    cc: float = 0.0
    """One minus Pearson's correlation."""
    nss: float = 0.0
    """Minus the normalised scanpath saliency at the fixations."""


def frame_losses(maps: Tensor, targets: Tensor, fixations: Tensor, weights: LossWeights) -> Tensor:
    """The weighted sum of the terms for each frame.

    Args:
        maps: predictions, float32 [N, H, W], 0 to 1.
        targets: float32 [N, H, W], 0 to 1.
        fixations: bool [N, H, W]; a frame without any has no NSS term.
        weights: the share of each term.

    Returns:
        float32 [N].
    """
    p, q = maps.float().flatten(1), targets.flatten(1)
    total = torch.zeros(len(p), device=p.device)
    if weights.bce:
        # The paper's mean over pixels; predictions of exactly 0 or 1 are cut by torch itself.
        total = total + weights.bce * F.binary_cross_entropy(p, q, reduction="none").mean(1)
    if weights.kl:
        density, target = p / p.sum(1, keepdim=True).clamp_min(1e-6), q / q.sum(1, keepdim=True).clamp_min(1e-6)
        total = total + weights.kl * (target * ((target + 1e-7) / (density + 1e-7)).log()).sum(1)
    if weights.cc or weights.nss:
        z = _standardise(p)
        if weights.cc:
            total = total + weights.cc * (1.0 - (z * _standardise(q)).mean(1))
        if weights.nss:
            seen = fixations.flatten(1).to(z.dtype)
            total = total - weights.nss * (z * seen).sum(1) / seen.sum(1).clamp_min(1.0)
    return total


def clip_loss(
    maps: Tensor, targets: Tensor, fixations: Tensor, labelled: Tensor, weights: LossWeights, reduction: str = "mean"
) -> Tensor:
    """The loss of a batch of clips.

    Args:
        maps: float32 [B, T, H, W].
        targets: float32 [B, T, H, W].
        fixations: bool [B, T, H, W].
        labelled: bool [B, T].
        weights: the share of each term.
        reduction: ``mean`` over labelled frames (the paper), or ``sum`` over a clip's frames (the released code).

    Returns:
        a scalar, 0 where nothing is labelled.
    """
    chosen = labelled.flatten()
    if not bool(chosen.any()):
        return maps.sum() * 0.0
    each = frame_losses(
        maps.flatten(0, 1)[chosen], targets.flatten(0, 1)[chosen], fixations.flatten(0, 1)[chosen], weights
    )
    return each.sum() / maps.shape[0] if reduction == "sum" else each.mean()


def _standardise(x: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 in each row."""
    return (x - x.mean(1, keepdim=True)) / (x.std(1, keepdim=True) + 1e-4)
