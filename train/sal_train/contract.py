"""A network's step in the words of the contract: an exported graph and torch itself are described alike."""

from __future__ import annotations

from sal_runtime.errors import InputError
from sal_runtime.manifest import Manifest, Recurrence, StateSpec, TensorSpec
from sal_train.checkpoint import weights_sha256
from sal_train.models import PIXEL_MEAN, RecurrentNetwork
from sal_train.models.recurrence import EMA


def describe(
    network: RecurrentNetwork,
    precision: str,
    height: int,
    width: int,
    batch: int | None,
    provenance: dict[str, object],
    frame_size: tuple[int, int] | None = None,
) -> Manifest:
    """The manifest of a network's step.

    Args:
        network: in float32, before any folding or conversion.
        precision: of the artifact to come.
        height: that the network sees, in pixels.
        width: that the network sees, in pixels.
        batch: fixed batch size, or None for any.
        provenance: where the weights came from; the hash of the weights and the architecture are added here.
        frame_size: height and width of whole frames that the graph makes small itself; None where frames come small.

    Raises:
        InputError: a side is not a multiple of the network's stride, the batch is not positive, or whole frames are
            smaller than what the network sees.
    """
    for side, size in (("height", height), ("width", width)):
        if size < network.stride or size % network.stride:
            nearest = max(network.stride, round(size / network.stride) * network.stride)
            raise InputError(f"the {side} {size} is not a multiple of {network.stride}; the nearest is {nearest}")
    if batch is not None and batch < 1:
        raise InputError(f"a batch of {batch} frames makes no sense; give 1 or more")
    if frame_size is not None and (frame_size[0] < height or frame_size[1] < width):
        raise InputError(
            f"frames of {frame_size[1]}x{frame_size[0]} cannot be made small to {width}x{height}; leave out the resize"
        )
    first = -1 if batch is None else batch
    recurrences = []
    for config, module in zip(network.config.recurrences, network.recurrences.values(), strict=True):
        alpha = module.alpha().item() if isinstance(module, EMA) else None
        raw = module.raw_alpha.item() if isinstance(module, EMA) and config.learnt else None
        recurrences.append(Recurrence(config.kind, config.index, alpha, raw))
    states = [
        StateSpec(
            TensorSpec(f"state{i}", "float32", (first, *shape)),
            TensorSpec(f"state{i}_next", "float32", (first, *shape)),
        )
        for i, shape in enumerate(network.state_shapes(height, width))
    ]
    return Manifest(
        model=network.config.name,
        precision=precision,
        frame=TensorSpec("frame", "uint8", (first, *(frame_size or (height, width)), 3)),
        carry=TensorSpec("carry", "float32", (first, 1)),
        saliency=TensorSpec("saliency", "float32", (first, height, width)),
        states=tuple(states),
        recurrences=tuple(recurrences),
        reference_fps=network.config.reference_fps,
        pixel_mean=PIXEL_MEAN,
        resizes=frame_size is not None,
        provenance={
            "weights_sha256": weights_sha256(network),
            "architecture": network.config.architecture,
            **provenance,
        },
    )
