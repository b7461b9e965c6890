"""Checkpoints: weights as safetensors with the configuration in their metadata.

A checkpoint says itself what it is; nothing is read off a file's name, and nothing in it can be executed. The released
``.pt`` files are another matter, see :mod:`sal_train.released`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch

from sal_runtime.atomic import aside
from sal_runtime.errors import CheckpointError
from sal_train.models import NetworkConfig, RecurrentNetwork, build_network

CONFIG_KEY = "sal_edge_config"
NOTES_KEY = "sal_edge_notes"


def save_checkpoint(
    network: RecurrentNetwork, path: Path, notes: dict[str, object] | None = None, exist_ok: bool = False
) -> None:
    """Write the weights, whole or not at all; ``notes`` (recipe, scores) are kept as JSON beside the configuration.

    Raises:
        OutputError: the file exists or cannot be written.
    """
    tensors = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    metadata = {CONFIG_KEY: network.config.to_json(), NOTES_KEY: json.dumps(notes or {}, sort_keys=True)}
    with aside(path, exist_ok) as partial:
        partial.write_bytes(safetensors.torch.save(tensors, metadata))


def unfinished(path: Path) -> str:
    """How far the training of a checkpoint came, in words; empty where it came to its end, or nothing is known.

    Raises:
        CheckpointError: see :func:`load_checkpoint`.
    """
    notes = json.loads(_read(path)[0].get(NOTES_KEY, "{}"))
    done, total = notes.get("epoch"), notes.get("epochs")
    return "" if done is None or total is None or done >= total else f"{done} of {total} epochs"


def load_checkpoint(path: Path, config: NetworkConfig | None = None) -> RecurrentNetwork:
    """The network of a checkpoint, in evaluation mode, in float32.

    Args:
        path: the file.
        config: another configuration to put the weights into, which must take exactly the same tensors, such as
            SalBCE's weights as ``salema30`` (the paper's "not tuned" rows). The checkpoint's width is kept.

    Raises:
        CheckpointError: the file is absent, damaged, carries no configuration, or does not fit it or ``config``.
    """
    metadata, tensors = _read(path)
    if CONFIG_KEY not in metadata:
        raise CheckpointError(f"{path}: carries no sal-edge configuration; make checkpoints with sal-train")
    own = NetworkConfig.from_json(metadata[CONFIG_KEY], str(path))
    network = build_network(own if config is None else dataclasses.replace(config, width=own.width))
    fill(network, tensors, str(path))
    return network.eval()


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """The metadata and the tensors of a file."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as exc:
        raise CheckpointError(f"{path}: there is no such file") from exc
    except (safetensors.SafetensorError, OSError) as exc:
        told = "a folder" if path.is_dir() else f"not a safetensors file, or damaged ({exc})"
        raise CheckpointError(f"{path}: {told}; weights come from sal-train (.safetensors) or a release (.pt)") from exc


def fill(network: RecurrentNetwork, tensors: Mapping[str, object], where: str) -> None:
    """Load weights with nothing missing, nothing left over and every shape right.

    Raises:
        CheckpointError: otherwise; the message names up to three tensors.
    """
    own = network.state_dict()
    missing, left_over = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    shapes = [
        f"{name} is {list(getattr(tensors[name], 'shape', ()))}, not {list(own[name].shape)}"
        for name in own
        if name in tensors and getattr(tensors[name], "shape", None) != own[name].shape
    ]
    for fault, names in (("lacks", missing), ("has left over", left_over), ("has misshapen tensors:", shapes)):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise CheckpointError(f"{where}: as {network.config.name} it {fault} {', '.join(names[:3])}{more}")
    network.load_state_dict(dict(tensors))


def weights_sha256(network: RecurrentNetwork) -> str:
    """A hash of every weight, independent of the file they came from."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
