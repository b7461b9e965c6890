"""Any file of weights as a network: what every command that takes a checkpoint calls."""

from __future__ import annotations

from pathlib import Path

from sal_train.checkpoint import load_checkpoint, unfinished
from sal_train.models import RecurrentNetwork, named_config
from sal_train.released import import_released

RELEASED = (".pt", ".pth")
"""Suffixes of the files that the paper's authors released."""


def load_weights(path: Path, config: str | None = None) -> tuple[RecurrentNetwork, dict[str, object]]:
    """The network of a checkpoint, and what to say of its origin.

    Args:
        path: ``.safetensors`` of sal-train, or a released ``.pt``.
        config: name of the configuration: needed for a ``.pt`` that does not tell; for a ``.safetensors`` another one
            that takes the same tensors. Naming the checkpoint's own leaves it as it was trained, its alpha too.

    Returns:
        the network in evaluation mode; ``checkpoint`` (the file's name) and, where there is something to say,
        ``trained_as`` (another configuration) and ``unfinished`` (how far its training came).

    Raises:
        CheckpointError: the file cannot be used, or its tensors do not fit the configuration.
        InputError: there is no configuration of that name.
    """
    asked = None if config is None else named_config(config)
    origin: dict[str, object] = {"checkpoint": path.name}
    if path.suffix.lower() in RELEASED:
        return import_released(path, asked), origin
    network = load_checkpoint(path)
    if told := unfinished(path):
        origin["unfinished"] = told
    if asked is None or asked.name == network.config.name:
        return network, origin
    return load_checkpoint(path, asked), {**origin, "trained_as": network.config.name}
