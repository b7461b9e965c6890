"""Samples of videos: which frames, at which size, and everything moved alike."""

from pathlib import Path

import numpy as np
import pytest

from sal_runtime.errors import DataError
from sal_train.data import Augment, Clip, ClipSamples, Epoch, Sample, open_dataset, resize_fixations
from sal_train.data.files import Folder
from trees import dhf1k, write

SIZE = (36, 64)


def dataset(tmp_path: Path) -> list[Clip]:
    return open_dataset(dhf1k(tmp_path, {1: 5, 2: 1, 3: 9}), "train")


def same(one: Sample, other: Sample) -> bool:
    """Bit for bit."""
    names = ("frames", "maps", "fixations", "labelled")
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
    return arrays and (one.name, one.start) == (other.name, other.start)


def test_clips_of_one_video_follow_each_other(tmp_path: Path) -> None:
    samples = ClipSamples(dataset(tmp_path), SIZE, 4, seed=1)
    assert len(samples) == 2 + 1 + 3
    orders = set()
    for epoch in range(6):
        plan = samples.plan(epoch)
        by_video = {video: [(p.start, p.length) for p in plan if p.video == video] for video in range(3)}
        assert by_video == {0: [(0, 4), (4, 1)], 1: [(0, 1)], 2: [(0, 4), (4, 4), (8, 1)]}
        videos = [p.video for p in plan]
        order = tuple(dict.fromkeys(videos))
        assert videos == [video for video in order for _ in by_video[video]]
        orders.add(order)
    assert len(orders) > 1


def test_without_tails_and_without_shuffling(tmp_path: Path) -> None:
    samples = ClipSamples(dataset(tmp_path), SIZE, 4, tails=False, shuffle=False)
    assert [(p.video, p.start, p.length) for p in samples.plan(5)] == [(0, 0, 4), (2, 0, 4), (2, 4, 4)]
    with pytest.raises(DataError, match=r"^no video has 10 frames; ask for shorter clips or keep the tails$"):
        ClipSamples(dataset(tmp_path / "again"), SIZE, tails=False)


def test_a_sample_holds_its_frames(tmp_path: Path) -> None:
    samples = ClipSamples(dataset(tmp_path), SIZE, 4, shuffle=False)
    sample = samples.sample(0, 4)
    assert (sample.name, sample.start) == ("0003", 4)
    assert (sample.frames.shape, sample.maps.shape, sample.fixations.shape) == ((4, *SIZE, 3), (4, *SIZE), (4, *SIZE))
    assert (str(sample.frames.dtype), str(sample.maps.dtype), str(sample.fixations.dtype)) == (
        "uint8",
        "float32",
        "bool",
    )
    assert np.round(sample.frames[:, 9, 9, 1] / 10).tolist() == [5, 6, 7, 8]
    assert [np.flatnonzero(found[0]).tolist() for found in sample.maps] == [[5, 6], [6, 7], [7, 8], [8, 9]]
    assert sample.maps.max() == 1.0
    assert np.argwhere(sample.fixations).tolist() == [[0, 5, 5], [1, 5, 6], [2, 5, 7], [3, 5, 8]]
    assert sample.labelled.all()


def test_at_another_size(tmp_path: Path) -> None:
    sample = ClipSamples(dataset(tmp_path), (9, 16), 4, shuffle=False).sample(0, 0)
    # columns n, n + 1 of 64 in cells of four; row 5 of 36 in cells of four; nothing is invented between the points
    assert np.allclose(sample.maps[:, 0, :2], [[0.5, 0], [0.5, 0], [0.25, 0.25], [0, 0.5]])
    assert np.argwhere(sample.fixations).tolist() == [[0, 1, 0], [1, 1, 0], [2, 1, 0], [3, 1, 1]]


def test_points_move_and_none_is_lost() -> None:
    rng = np.random.default_rng(0)
    mask = rng.random((36, 64)) < 0.01
    assert resize_fixations(mask, 72, 128).sum() == mask.sum()
    assert np.array_equal(resize_fixations(mask, 36, 64), mask)
    corners = np.zeros((30, 50), np.uint8)
    corners[[0, 0, -1, -1], [0, -1, 0, -1]] = 255
    assert np.argwhere(resize_fixations(corners, 7, 9)).tolist() == [[0, 0], [0, 8], [6, 0], [6, 8]]


def marked(tmp_path: Path, row: int, column: int, frames: int = 4) -> Clip:
    """A black video with one white pixel that frame, map and fixations share."""
    image = np.zeros(SIZE, np.uint8)
    image[row, column] = 255
    names = tuple(write(tmp_path / "x" / f"{n}.png", image).name for n in range(frames))
    folder = Folder(tmp_path / "x", names)
    return Clip("x", frames, 30.0, folder, folder, folder)


def test_mirroring_moves_everything_alike(tmp_path: Path) -> None:
    samples = ClipSamples([marked(tmp_path, 3, 10)], SIZE, 2, augment=Augment(mirror=1.0, degrees=0.0))
    for index in (0, 1):
        sample = samples.sample(0, index)
        for found in (sample.frames[..., 0] > 0, sample.maps > 0, sample.fixations):
            assert np.argwhere(found).tolist() == [[0, 3, 53], [1, 3, 53]]
        assert sample.frames.max() == 255
        assert sample.maps.max() == 1.0


@pytest.mark.parametrize(("row", "column"), [(18, 50), (8, 32), (30, 20)])
def test_rotation_moves_everything_alike(tmp_path: Path, row: int, column: int) -> None:
    samples = ClipSamples([marked(tmp_path, row, column)], SIZE, 4, augment=Augment(mirror=0.5, degrees=20.0), seed=2)
    seen = set()
    for epoch in range(8):
        sample = samples.sample(epoch, 0)
        for place in range(4):
            ((y, x),) = np.argwhere(sample.fixations[place])
            for found in (sample.frames[place, ..., 0], sample.maps[place]):
                assert np.abs(np.argwhere(found == found.max()) - (y, x)).max() <= 1
        # about the centre of pixels that are square: the distance stays
        assert np.hypot(y - 17.5, x - 31.5) == pytest.approx(np.hypot(row - 17.5, column - 31.5), abs=1.0)
        seen.add((int(y), int(x)))
    assert len(seen) > 3


def test_rotation_is_true_where_the_picture_is_squeezed(tmp_path: Path) -> None:
    row, column = 18, 50
    samples = ClipSamples([marked(tmp_path, row, column)], (36, 32), 1, augment=Augment(mirror=0, degrees=30), seed=3)
    for epoch in range(5):
        ((y, x),) = np.argwhere(samples.sample(epoch, 0).fixations[0])
        assert np.hypot(y - 17.5, 2 * x - 31) == pytest.approx(np.hypot(row - 17.5, column - 31.5), abs=1.6)


def test_all_clips_of_a_video_are_augmented_alike(tmp_path: Path) -> None:
    samples = ClipSamples([marked(tmp_path, 9, 20, 6)], SIZE, 2, augment=Augment(), seed=4)
    for epoch in range(3):
        maps = [samples.sample(epoch, index).maps for index in range(3)]
        assert np.array_equal(maps[0], maps[1])
        assert np.array_equal(maps[0], maps[2])


def test_a_sample_depends_on_seed_epoch_and_index_alone(tmp_path: Path) -> None:
    clips = dataset(tmp_path)
    first = ClipSamples(clips, SIZE, 4, augment=Augment(), seed=5)
    straight = [list(Epoch(first, epoch)) for epoch in range(2)]
    resumed = ClipSamples(clips, SIZE, 4, augment=Augment(), seed=5)
    for index in (5, 2, 0, 3):
        assert same(resumed.sample(1, index), straight[1][index])
    assert not all(same(a, b) for a, b in zip(straight[0], straight[1], strict=True))
    other = ClipSamples(clips, SIZE, 4, augment=Augment(), seed=6)
    assert not all(same(a, b) for a, b in zip(straight[0], Epoch(other, 0), strict=True))


def test_constant_maps_are_marked(tmp_path: Path) -> None:
    root = dhf1k(tmp_path, {1: 4})
    write(root / "annotation" / "0001" / "maps" / "0002.png", np.full(SIZE, 7, np.uint8))
    sample = ClipSamples(open_dataset(root, "train"), SIZE, 4).sample(0, 0)
    assert sample.labelled.tolist() == [True, False, True, True]
    assert not sample.maps[1].any()
    assert sample.fixations[1].any()


def test_an_epoch_is_a_sequence(tmp_path: Path) -> None:
    epoch = Epoch(ClipSamples(dataset(tmp_path), SIZE, 4), 0)
    assert len(list(epoch)) == len(epoch) == 6
    with pytest.raises(IndexError):
        epoch[6]
