"""The encoder's start: VGG-16 trained on ImageNet, from torchvision.

torchvision's weights expect RGB, scaled to 0 to 1 and divided by a deviation; ours see BGR minus a mean, unscaled. The
first convolution is rewritten so that it computes the same from our input, but for the padding at the picture's edge.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sal_runtime.errors import CheckpointError
from sal_train.models import PIXEL_MEAN, SalNetwork

_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""torchvision's statistics of R, G, B."""


def load_vgg16(network: SalNetwork, path: Path | None = None) -> None:
    """Fill the encoder (layers 0 to 28) in place.

    Args:
        network: at width 1.
        path: torchvision's ``vgg16-*.pth``; without it torchvision fetches its own.

    Raises:
        CheckpointError: the weights cannot be had, or the network is of another width.
    """
    tensors = _fetch() if path is None else _read(path)
    first = network.salgan[0]
    if not isinstance(first, nn.Conv2d) or first.out_channels != 64:
        raise CheckpointError("ImageNet's VGG-16 fits the network at width 1 only")
    with torch.no_grad():
        for index, layer in enumerate(network.salgan[:30]):
            if not isinstance(layer, nn.Conv2d) or layer.bias is None:
                continue
            try:
                weight, bias = tensors[f"features.{index}.weight"], tensors[f"features.{index}.bias"]
            except KeyError as exc:
                raise CheckpointError(f"{path}: not torchvision's VGG-16, {exc.args[0]} is missing") from exc
            if index == 0:
                weight, bias = _for_our_pixels(weight, bias)
            layer.weight.copy_(weight)
            layer.bias.copy_(bias)


def _for_our_pixels(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The first convolution for BGR minus :data:`PIXEL_MEAN`, in place of normalised RGB."""
    scale = torch.tensor([1.0 / (255.0 * d) for d in _DEVIATION])[:, None, None]
    shift = torch.tensor([ours - 255.0 * theirs for ours, theirs in zip(reversed(PIXEL_MEAN), _MEAN, strict=True)])
    scaled = weight * scale
    return scaled.flip(1), bias + (scaled.sum((2, 3)) * shift).sum(1)


def _fetch() -> dict[str, Tensor]:
    import torchvision

    try:
        weights: dict[str, Tensor] = torchvision.models.VGG16_Weights.IMAGENET1K_V1.get_state_dict(progress=False)
    except Exception as exc:  # whatever the network or the cache says
        raise CheckpointError(
            f"VGG-16's ImageNet weights cannot be fetched ({exc}); fetch torchvision's vgg16 file elsewhere and pass "
            "it with --imagenet FILE"
        ) from exc
    return weights


def _read(path: Path) -> dict[str, Tensor]:
    try:
        weights: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as exc:  # torch raises whatever the file provokes
        raise CheckpointError(f"{path}: cannot be read as torchvision's VGG-16") from exc
    return weights
