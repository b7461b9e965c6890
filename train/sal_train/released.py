"""Import of the checkpoints that the paper's authors released (SalBCE, SalEMA30, SalCLSTM30), in all their forms.

The files differ: with or without the optimizer's state around, keys bare (``0.weight``) or under ``salgan.``, prefixed
with ``module.`` any number of times. They are pickles; only tensors and plain containers are ever unpickled
(``weights_only``), so that nothing in a file is executed. The files do not say which configuration they are, and their
names prove nothing: where the tensors do not tell, the caller must.
"""

from __future__ import annotations

import dataclasses
import pickle
import re
from pathlib import Path

import torch
from torch import Tensor

from sal_runtime.errors import CheckpointError
from sal_train.checkpoint import fill
from sal_train.models import NetworkConfig, RecurrentNetwork, build_network, named_config
from sal_train.models.layers import FIRST_CHANNELS


def import_released(
    path: Path, config: NetworkConfig | None = None, fallback: NetworkConfig | None = None
) -> RecurrentNetwork:
    """The network of a released ``.pt`` file, in evaluation mode.

    It computes what the released code computed, with the alpha that the paper reports (0.1): the released code passed
    its raw 0.1 through a sigmoid and so used 0.525 in effect. A learnt alpha is kept raw, and its sigmoid is effective.

    Args:
        path: the file.
        config: which configuration it holds; may be left out where the tensors tell (a ConvLSTM, a learnt alpha).

        fallback: taken where they do not; None makes that an error.

    Raises:
        CheckpointError: unreadable, unsafe, ambiguous, or not fitting the configuration without remainder.
    """
    tensors = {_canonical(name): tensor for name, tensor in _read(path).items()}
    config = config or _recognise(tensors, path, fallback)
    first = tensors.get("salgan.0.weight")
    if first is None or first.dim() != 4:
        raise CheckpointError(f"{path}: has no first convolution (0.weight), so it is none of the paper's networks")
    config = dataclasses.replace(config, width=first.shape[0] / FIRST_CHANNELS)
    index = config.recurrences[0].index if config.recurrences else 30
    renamed = {
        "Gates.weight": f"recurrences.{index}.gates.weight",
        "Gates.bias": f"recurrences.{index}.gates.bias",
        "alpha": f"recurrences.{index}.raw_alpha",
    }
    network = build_network(config)
    fitted = {renamed.get(name, name): tensor for name, tensor in tensors.items()}
    if "alpha" in tensors and tensors["alpha"].numel() == 1:
        fitted[renamed["alpha"]] = tensors["alpha"].reshape(())
    fill(network, fitted, str(path))
    return network.eval()


def _read(path: Path) -> dict[str, Tensor]:
    """The tensors of the file, whatever is wrapped around them."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as exc:
        raise CheckpointError(f"{path}: there is no such file") from exc
    except pickle.UnpicklingError as exc:
        reason = "it is damaged or holds more than tensors and would run code, which is refused"
        raise CheckpointError(f"{path}: cannot be read as a PyTorch checkpoint; {reason}") from exc
    except Exception as exc:  # torch raises whatever a damaged file provokes
        raise CheckpointError(f"{path}: not a PyTorch checkpoint, or damaged") from exc
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in content.items())
    ):
        raise CheckpointError(f"{path}: holds no table of weights")
    return content


def _canonical(name: str) -> str:
    """``module.module.3.weight`` and ``salgan.3.weight`` both as ``salgan.3.weight``."""
    name = re.sub(r"^(module\.)+", "", name)
    return f"salgan.{name}" if re.match(r"\d+\.", name) else name


def _recognise(tensors: dict[str, Tensor], path: Path, fallback: NetworkConfig | None) -> NetworkConfig:
    """The configuration, where the tensors leave no doubt."""
    if "Gates.weight" in tensors:
        return named_config("salclstm30")
    if "alpha" in tensors:
        return named_config("salema30-learnt")
    if fallback is not None:
        return fallback
    raise CheckpointError(
        f"{path}: its tensors do not tell which network it is; say it with --config "
        "(salbce, salema30 and their variants share the same weights)"
    )
