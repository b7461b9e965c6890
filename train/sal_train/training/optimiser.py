"""Parameter groups, the learning rate over time."""

from __future__ import annotations

import math

import torch
from torch import nn

from sal_train.models import RecurrentNetwork
from sal_train.recipe import OptimizerRecipe, Recipe


def build_optimizer(network: RecurrentNetwork, recipe: Recipe) -> torch.optim.Optimizer:
    """Adam over three groups: kernels (with decay), vectors such as biases (none under AdamW), a learnt alpha (none).

    The released code decays every weight but alpha; AdamW, as is usual, only kernels.
    """
    settings = recipe.optimizer
    alphas = [p for name, p in network.named_parameters() if name.endswith("raw_alpha")]
    others = [p for name, p in network.named_parameters() if not name.endswith("raw_alpha")]
    if recipe.train_only == "alpha":
        for parameter in others:
            parameter.requires_grad_(False)
    kernels = [p for p in others if p.requires_grad and (p.dim() > 1 or settings.name == "adam")]
    vectors = [p for p in others if p.requires_grad and not (p.dim() > 1 or settings.name == "adam")]
    groups = [
        {"params": kernels, "lr": settings.lr, "weight_decay": settings.weight_decay},
        {"params": vectors, "lr": settings.lr, "weight_decay": 0.0},
        {"params": alphas, "lr": settings.alpha_lr, "weight_decay": 0.0},
    ]
    groups = [{**group, "base_lr": group["lr"]} for group in groups if group["params"]]
    if settings.name == "adamw":
        return torch.optim.AdamW(groups, betas=(0.9, 0.99))
    return torch.optim.Adam(groups)


def set_rate(optimizer: torch.optim.Optimizer, settings: OptimizerRecipe, progress: float) -> float:
    """Set every group's rate for ``progress`` (0 to 1 of the training) and return the factor on its own rate."""
    factor = 1.0
    if progress < settings.warmup:
        factor = progress / settings.warmup
    elif settings.schedule == "cosine":
        factor = 0.5 * (1.0 + math.cos(math.pi * (progress - settings.warmup) / (1.0 - settings.warmup)))
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor
    return factor


def trainable(network: nn.Module) -> list[nn.Parameter]:
    """Parameters that receive gradients."""
    return [p for p in network.parameters() if p.requires_grad]
