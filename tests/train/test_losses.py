"""The loss's terms, worked out on paper."""

import math

import pytest
import torch
from torch import Tensor

from sal_train.losses import LossWeights, clip_loss, frame_losses


def row(*values: float) -> Tensor:
    return torch.tensor([[values]], dtype=torch.float32)


NOWHERE = torch.zeros(1, 1, 4, dtype=torch.bool)


def test_equation_7() -> None:
    """Targets 1, 0, 1, 0 and predictions of a half: log 2 at every pixel. And of 0.8 where 1 is right: -log 0.8."""
    only = LossWeights(bce=1.0)
    assert float(frame_losses(row(0.5, 0.5, 0.5, 0.5), row(1, 0, 1, 0), NOWHERE, only)) == pytest.approx(math.log(2))
    assert float(frame_losses(row(0.8, 0.8, 0.8, 0.8), row(1, 1, 1, 1), NOWHERE, only)) == pytest.approx(-math.log(0.8))


def test_kl_is_of_distributions() -> None:
    """(1/2, 1/2) against (1/4, 3/4): log 2 / 2 + log(2/3) / 2; scale does not matter."""
    only = LossWeights(bce=0.0, kl=1.0)
    expected = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    for scale in (1.0, 0.1):
        loss = frame_losses(scale * row(0.25, 0.75, 0, 0), row(0.5, 0.5, 0, 0), NOWHERE, only)
        assert float(loss) == pytest.approx(expected, abs=1e-5)


def test_cc_and_nss() -> None:
    """Of a map with itself: 1 - 3/4, since deviations are over N - 1 = 3 of 4 pixels. At its peak: 1.5 deviations."""
    p = row(0.0, 0.0, 0.0, 1.0)
    assert float(frame_losses(p, p, NOWHERE, LossWeights(bce=0, cc=1.0))) == pytest.approx(0.25, abs=1e-3)
    seen = torch.tensor([[[False, False, False, True]]])
    assert float(frame_losses(p, p, seen, LossWeights(bce=0, nss=1.0))) == pytest.approx(-1.5, abs=1e-3)
    assert float(frame_losses(p, p, NOWHERE, LossWeights(bce=0, nss=1.0))) == 0.0


def test_unlabelled_frames_count_in_nothing() -> None:
    maps = torch.full((1, 3, 1, 4), 0.5, requires_grad=True)
    targets = torch.tensor([1.0, 0.0, float("nan")]).view(1, 3, 1, 1).expand(1, 3, 1, 4)
    fixations, labelled = torch.zeros(1, 3, 1, 4, dtype=torch.bool), torch.tensor([[True, True, False]])
    mean = clip_loss(maps, targets, fixations, labelled, LossWeights())
    total = clip_loss(maps, targets, fixations, labelled, LossWeights(), reduction="sum")
    assert mean.item() == pytest.approx(math.log(2))
    assert total.item() == pytest.approx(2 * math.log(2))
    (gradient,) = torch.autograd.grad(mean, maps)
    assert gradient[0, :, 0, 0].tolist()[2] == 0.0
    assert float(clip_loss(maps, targets, fixations, torch.zeros(1, 3, dtype=torch.bool), LossWeights())) == 0.0
