"""Photographs under a moving camera."""

from pathlib import Path

import numpy as np
import pytest

from sal_runtime.errors import DataError
from sal_runtime.vision import cv2
from sal_train.data import Epoch, Motion, StillSamples, open_dataset
from sal_train.data.points import move
from sal_train.data.warp import MIRROR, compose, rotation, shrinking, warp_frame
from sal_train.seeds import generator
from trees import stills, write

CALM = Motion(view=(1.0, 1.0), degrees=0.0, mirror=0.0)
"""Shows the whole photograph and nothing else."""


def blobs(root: Path, count: int = 6) -> Path:
    """Photographs of one soft spot each, with the map of that spot and one fixation at its middle."""
    rng = np.random.default_rng(0)
    for number in range(count):
        image = np.zeros((120, 160), np.uint8)
        image[rng.integers(30, 90), rng.integers(40, 120)] = 255
        spot = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 4.0)
        soft = (255 * spot / spot.max()).astype(np.uint8)
        write(root / "images" / "train" / f"{number}.png", cv2.merge([soft, soft, soft]))
        write(root / "maps" / "train" / f"{number}.png", soft)
        write(root / "fixations" / "train" / f"{number}.png", image)
    return root


def middle(picture: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    """The centre of mass, (row, column)."""
    rows, columns = np.indices(picture.shape)
    return float((picture * rows).sum() / picture.sum()), float((picture * columns).sum() / picture.sum())


@pytest.mark.parametrize("cache", [False, True])
def test_picture_map_and_fixation_move_together(tmp_path: Path, cache: bool) -> None:
    clips = open_dataset(blobs(tmp_path), "train")
    motion = Motion(fps=4, view=(0.7, 0.9), degrees=10.0, turn=20.0, rest=0.0)
    samples = StillSamples(clips, motion, (60, 80), 8, cache=cache, seed=1)
    compared, path = 0, []
    for sample in Epoch(samples, 0):
        assert sample.frames.shape == (8, 60, 80, 3)
        for frame, found, seen in zip(sample.frames[..., 0], sample.maps, sample.fixations, strict=True):
            if not seen.any():
                continue
            ((row, column),) = np.argwhere(seen)
            if 15 <= row < 45 and 15 <= column < 65:
                assert middle(frame.astype(np.float64)) == pytest.approx((row, column), abs=0.8)
                assert middle(found.astype(np.float64)) == pytest.approx((row, column), abs=0.8)
                compared += 1
                path.append((int(row), int(column)))
    assert compared > 20
    assert len(set(path)) > 10


def test_the_whole_photograph_is_what_area_shrinking_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (120, 160, 3), dtype=np.uint8)
    root = blobs(tmp_path, 1)
    write(root / "images" / "train" / "0.png", image)
    sample = StillSamples(open_dataset(root, "train"), CALM, (60, 80), 2).sample(0, 0)
    expected = cv2.resize(image, (80, 60), interpolation=cv2.INTER_AREA)
    assert np.array_equal(sample.frames[0], expected)
    assert np.array_equal(sample.frames[0], sample.frames[1])
    assert sample.maps.max() == 1.0
    assert sample.labelled.all()


def test_the_camera_never_leaves_the_photograph_and_is_smooth() -> None:
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    motion = Motion(fps=30, degrees=8.0)
    for seed in range(20):
        affines = motion.draw(np.random.default_rng(seed), 120, 4 / 3)
        seen = np.array([move(corners, _inverse(affine)) for affine in affines])
        assert seen.min() > -1e-9
        assert seen.max() < 1 + 1e-9
        centres = seen.mean(axis=1)
        steps = np.linalg.norm(np.diff(centres, axis=0), axis=1)
        # no faster than both sides' speed and what zooming adds, and never a jump
        assert steps.max() <= (np.hypot(0.4, 0.4) + 0.4) / 30
        assert np.abs(np.diff(steps)).max() < 0.01


def test_speed_is_in_seconds() -> None:
    fast, slow = (Motion(fps=fps).draw(np.random.default_rng(3), 31, 1.5) for fps in (30, 10))
    assert np.allclose(fast[30], slow[10])


def test_a_camera_at_rest() -> None:
    affines = Motion(rest=1.0).draw(np.random.default_rng(0), 5, 1.5)
    assert all(np.array_equal(affine, affines[0]) for affine in affines)


def test_a_clip_depends_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    clips = open_dataset(blobs(tmp_path), "train")
    one, two = (StillSamples(clips, Motion(), (24, 32), 3, cache=cache, seed=9) for cache in (True, False))
    straight = list(Epoch(one, 4))
    for index in (5, 0, 3):
        again = two.sample(4, index)
        assert again.name == straight[index].name
        assert np.array_equal(again.frames, straight[index].frames)
        assert np.array_equal(again.maps, straight[index].maps)
        assert np.array_equal(again.fixations, straight[index].fixations)
    assert sorted(sample.name for sample in straight) == [clip.name for clip in clips]
    assert [s.name for s in Epoch(one, 5)] != [s.name for s in straight]


def test_photographs_with_constant_maps_are_left_out(tmp_path: Path) -> None:
    root = stills(tmp_path, "train", ["a", "b", "c"])
    write(root / "maps" / "train" / "b.png", np.zeros((36, 64), np.uint8))
    clips = open_dataset(root, "train")
    for cache in (False, True):
        samples = StillSamples(clips, CALM, (36, 64), cache=cache)
        assert samples.left_out == ("b",)
        assert sorted(sample.name for sample in Epoch(samples, 0)) == ["a", "c"]
    with pytest.raises(
        DataError, match=r"^none of 1 photographs has a map that says anything; look at the maps' files$"
    ):
        StillSamples([clips[1]], CALM)


def test_a_view_of_what_nobody_looked_at_is_not_labelled(tmp_path: Path) -> None:
    root = stills(tmp_path, "train", ["a"])  # bright at columns 1 and 2 of 64
    samples = StillSamples(open_dataset(root, "train"), Motion(view=(0.5, 0.5), mirror=0.0), (36, 64), 2)
    labelled = [bool(samples.sample(epoch, 0).labelled[0]) for epoch in range(30)]
    seen = [bool(samples.sample(epoch, 0).maps[0].any()) for epoch in range(30)]
    assert labelled == seen
    assert 0 < sum(labelled) < 30


def test_affine_maps_on_paper() -> None:
    point = np.array([[0.25, 0.5]])
    assert move(point, MIRROR).tolist() == [[0.75, 0.5]]
    # a quarter turn of a picture twice as wide as high: a quarter left of the centre is half a height below it
    assert np.allclose(move(point, rotation(90.0, 2.0)), [[0.5, 1.0]])
    assert np.allclose(move(point, compose(MIRROR, rotation(180.0, 2.0))), point)
    assert shrinking(np.eye(2, 3), (384, 512), (192, 256)) == 2.0
    frame = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    assert np.array_equal(warp_frame(frame, MIRROR, 6, 8), frame[:, ::-1])
    assert np.array_equal(warp_frame(frame, rotation(180.0, 8 / 6), 6, 8), frame[::-1, ::-1])


def test_places_of_different_lengths_are_different() -> None:
    draws = [generator(0, *place).random() for place in [(), (0,), (0, 0), (1,), (1, 0), (0, 1)]]
    assert len(set(draws)) == len(draws)
    assert generator(0, 1, 2).random() == generator(0, 1, 2).random() != generator(1, 1, 2).random()


def _inverse(
    affine: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The affine map the other way."""
    back = np.linalg.inv(affine[:, :2])
    return np.column_stack([back, -back @ affine[:, 2]])
