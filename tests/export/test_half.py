"""fp16: what stays float32, and how a network that leaves its range is brought back exactly."""

import dataclasses

import pytest
import torch
from torch import nn

from sal_export.half import HEADROOM, activation_peaks, rescale, to_half
from sal_runtime.errors import ParityError
from sal_train.models import SalNetwork, named_config


def loud(name: str, layer: int, factor: float) -> SalNetwork:
    """A small network whose convolution ``layer`` speaks ``factor`` times as loud, and the next hears it as before."""
    torch.manual_seed(0)
    network = SalNetwork(dataclasses.replace(named_config(name), width=0.1)).eval()
    convolutions = [i for i, m in enumerate(network.salgan) if isinstance(m, nn.Conv2d)]
    after = convolutions[convolutions.index(layer) + 1]
    network.salgan[layer].weight.data.mul_(factor)  # type: ignore[operator]
    network.salgan[after].weight.data.div_(factor)  # type: ignore[operator]
    return network


def frames() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(0, 256, (1, 32, 48, 3), dtype=torch.uint8, generator=generator) for _ in range(3)]


def test_powers_of_two_change_the_range_and_nothing_else() -> None:
    network = loud("salema30", 12, 2.0**12)
    before = activation_peaks(network, frames())
    clip = torch.stack([f[0] for f in frames()])[None]
    with torch.no_grad():
        expected = network.clip(clip)
        assert before[12] > 65504
        assert not to_half(network).clip(clip)[0].isfinite().all() or not torch.allclose(
            to_half(network).clip(clip)[0], expected[0], atol=0.01
        ), "without rescaling, fp16 overflows"
        scales = rescale(network, before)
        assert scales.keys() == {12}
        for one, other in zip(network.clip(clip), expected, strict=True):
            assert torch.equal(one, other), "bit for bit"
        assert torch.allclose(to_half(network).clip(clip)[0], expected[0], atol=0.01)
    assert max(activation_peaks(network, frames()).values()) <= HEADROOM


def test_a_recurrence_fixes_the_scale() -> None:
    network = loud("salema30", 30, 2.0**14)
    with pytest.raises(ParityError, match=r"layer 30 reaches \d+, above fp16's 65504, .* export in fp32"):
        rescale(network, activation_peaks(network, frames()))


def test_states_alpha_and_mean_stay_float32() -> None:
    network = to_half(SalNetwork(dataclasses.replace(named_config("salclstm30-peephole"), width=0.1)))
    saliency, *states = network.clip(torch.stack([f[0] for f in frames()])[None])
    assert {t.dtype for t in (saliency, *states)} == {torch.float32}
    assert network.dtype == torch.float16
    assert network.mean.dtype == torch.float32
