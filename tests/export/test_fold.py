"""The upsampling fold is exact, in all its forms and at the picture's edges."""

import dataclasses

import pytest
import torch
from torch import nn

from sal_export.fold import UpsampleByPhases, UpsampleByShuffle, fold_batch_norm, fold_upsampling, transposed
from sal_export.options import FoldForm
from sal_train.models import build_network, named_config


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5)])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("form", [transposed, UpsampleByShuffle, UpsampleByPhases])
def test_the_fold_is_exact(form: object, bias: bool, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(3, 5, 3, padding=1, bias=bias).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    expected = conv(nn.Upsample(scale_factor=2)(x))
    folded = form(conv)  # type: ignore[operator]
    assert torch.allclose(folded.double()(x), expected, atol=1e-12)


@pytest.mark.parametrize("form", ["transposed", "shuffle", "phases"])
@pytest.mark.parametrize("name", ["salema30", "salema7-54"])
def test_a_folded_network_gives_the_same_maps(name: str, form: FoldForm) -> None:
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(named_config(name), width=0.1)).eval()
    weights = {n: t.clone() for n, t in network.state_dict().items()}
    folded = fold_upsampling(network, form)
    frames = torch.randint(0, 256, (1, 3, 32, 48, 3), dtype=torch.uint8)
    with torch.no_grad():
        assert torch.allclose(network.clip(frames)[0], folded.clip(frames)[0], atol=1e-5)
    assert not [m for m in folded.modules() if isinstance(m, nn.Upsample)]
    assert all(torch.equal(network.state_dict()[n], t) for n, t in weights.items()), "the original is not touched"


def test_batch_normalisation_goes_into_its_convolution() -> None:
    torch.manual_seed(0)
    network = build_network(dataclasses.replace(named_config("compact-ema"), width=0.25))
    frames = torch.randint(0, 256, (4, 2, 64, 64, 3), dtype=torch.uint8)
    network.clip(frames)  # in training mode: fills the statistics with something
    network.eval()
    folded = fold_batch_norm(network)
    assert [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not [m for m in folded.modules() if isinstance(m, nn.BatchNorm2d)]
    with torch.no_grad():
        for one, other in zip(network.clip(frames), folded.clip(frames), strict=True):
            assert torch.allclose(one, other, atol=1e-5)
