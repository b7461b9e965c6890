"""The picture for people, worked out on paper."""

from __future__ import annotations

import numpy as np
import pytest

from sal_runtime.render import Layout, Renderer

GREY = np.full((24, 32, 3), 100, np.uint8)
HOT = np.array([164, 255, 252])
"""BGR of the strongest value."""


def saliency(left: float, right: float) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    found = np.full((24, 32), left, np.float32)
    found[:, 16:] = right
    return found


def test_the_frame_is_darkened_and_the_map_covers_it_by_three_quarters() -> None:
    drawn = Renderer()(GREY, saliency(0.0, 0.5))
    # A third of the colour and 0.3 of the grey of it are left, times 0.25 beneath the strongest value.
    np.testing.assert_allclose(drawn[12, 2], [65, 65, 68], atol=4)  # the scale's black is not quite
    np.testing.assert_allclose(drawn[12, 30], 0.25 * 65 + 0.75 * HOT, atol=2)


def test_a_map_alone_and_beside_the_frame() -> None:
    alone = Renderer(Layout.map)(GREY, saliency(0.0, 0.5))
    assert alone[12, 30].tolist() == HOT.tolist()
    beside = Renderer(Layout.side_by_side)(GREY, saliency(0.0, 0.5))
    assert beside.shape == (24, 64, 3)
    assert (beside[:, :32] == GREY).all()
    assert (beside[:, 32:] == alone).all()


def test_brightness_follows_the_strongest_value_of_late() -> None:
    draw = Renderer(Layout.map)
    draw(GREY, saliency(0.0, 0.8))
    dim = draw(GREY, saliency(0.0, 0.1))[12, 30]
    assert int(dim.sum()) < int(HOT.sum()) / 2, "a weak map right after a strong one looks weak"
    for _ in range(90):
        last = draw(GREY, saliency(0.0, 0.1))[12, 30]
    assert last.tolist() == HOT.tolist()


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_flat_map_is_drawn(value: float) -> None:
    assert Renderer()(GREY, saliency(value, value)).shape == GREY.shape
