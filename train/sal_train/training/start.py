"""The weights a training starts from."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import torch

from sal_runtime.console import warn
from sal_runtime.errors import CheckpointError, InputError
from sal_train.checkpoint import load_checkpoint
from sal_train.imagenet import load_vgg16
from sal_train.models import RecurrentNetwork, SalNetwork, build_network, named_config
from sal_train.recipe import Recipe
from sal_train.released import import_released
from sal_train.weights import RELEASED


def starting_network(
    recipe: Recipe, weights: Path | None, imagenet: Path | None, width: float = 1.0
) -> RecurrentNetwork:
    """The network of a recipe with the weights it starts from.

    Args:
        recipe: says the configuration and where its weights come from.
        weights: a checkpoint of ours or a released ``.pt``; replaces the recipe's own start.
        imagenet: torchvision's VGG-16 file, where it cannot be fetched.
        width: factor on the channels; below 1 only from scratch or from weights of that width.

    Raises:
        InputError: weights are needed and none were given.
        CheckpointError: they cannot be read or do not fit.
    """
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        network = build_network(dataclasses.replace(named_config(recipe.config), width=width))
    if weights is not None:
        fresh = _transfer(_open(weights), network, weights)
        if fresh:
            warn(f"{weights} does not have {', '.join(fresh)}: trained from initial values")
    elif recipe.start == "imagenet":
        if not isinstance(network, SalNetwork):
            raise InputError(f"recipe {recipe.name}: only the paper's networks start from VGG-16")
        load_vgg16(network, imagenet)
    elif recipe.start != "scratch":
        raise InputError(
            f"recipe {recipe.name} goes on from trained weights: pass --weights FILE, made by sal-train {recipe.start} "
            "or released by the paper's authors (.pt), or --start scratch"
        )
    return network


def _open(path: Path) -> RecurrentNetwork:
    """Any file of weights; a released one that does not tell what it is, is read as SalBCE's."""
    if path.suffix.lower() in RELEASED:
        return import_released(path, fallback=named_config("salbce"))
    return load_checkpoint(path)


def _transfer(source: RecurrentNetwork, network: RecurrentNetwork, path: Path) -> list[str]:
    """Copy every weight; a recurrence that the source does not have keeps its initial ones.

    Returns:
        names of the tensors that keep their initial values.

    Raises:
        CheckpointError: a layer is missing or misshapen, or the source has a recurrence that has no place here.
    """
    given, own = source.state_dict(), network.state_dict()
    left_over = sorted(set(given) - set(own))
    if left_over:
        raise CheckpointError(f"{path}: as a start for {network.config.name}, it has {left_over[0]} left over")
    for name, tensor in own.items():
        if name in given and given[name].shape == tensor.shape:
            tensor.copy_(given[name])
        elif name in given or not name.startswith("recurrences."):
            found = f"is {list(given[name].shape)}, not {list(tensor.shape)}" if name in given else "is missing"
            raise CheckpointError(f"{path}: as a start for {network.config.name}, {name} {found}")
    return sorted(set(own) - set(given))
