"""Bicubic resizing against PIL's, and on paper."""

import numpy as np
import pytest

from sal_train.metrics import resize_bicubic, score_frame


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((192, 256), (360, 640)), ((360, 640), (192, 256)), ((17, 31), (64, 9)), ((5, 5), (5, 11)), ((1, 1), (7, 3))],
)
def test_equals_pil(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    image = pytest.importorskip("PIL.Image", reason="Pillow is not installed")
    picture = np.random.default_rng(0).random(size).astype(np.float32)
    expected = np.asarray(image.fromarray(picture).resize(wanted[::-1], image.BICUBIC))
    found = resize_bicubic(picture, *wanted)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-7)


def test_on_paper() -> None:
    # Twice the size: output 1 lies a quarter pixel right of source 0; a = -0.5 gives K(.25) = .8671875, K(.75) =
    # .2265625, K(1.25) = -.0703125, K(1.75) = -.0234375; at the edge K(1.25) falls out and the sum divides the rest.
    found = resize_bicubic(np.array([[1.0, 0.0, 0.0, 0.0]]), 1, 8)[0]
    assert found[1] == pytest.approx(0.8671875 / (0.8671875 + 0.2265625 - 0.0234375))
    assert found[3] == pytest.approx(-0.0703125, abs=1e-7)


def test_the_overshoot_below_zero_is_cut_off_before_scoring() -> None:
    spike = np.zeros((6, 8), np.float32)
    spike[3, 4] = 1.0
    target = np.zeros((24, 32))
    target[12:16, 16:20] = 1.0
    scores = score_frame(spike, target, target, rng=np.random.default_rng(0))
    assert resize_bicubic(spike, 24, 32).min() < 0
    assert all(np.isfinite(value) for value in scores.as_dict().values())
