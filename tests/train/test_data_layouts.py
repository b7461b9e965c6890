"""Every layout on a small tree of it, and every fault as its sentence."""

import re
from pathlib import Path

import numpy as np
import pytest

from sal_runtime.errors import DataError
from sal_train.data import LAYOUTS, Clip, constant_maps, open_dataset, recognise
from trees import (
    density,
    dhf1k,
    dhf1k_unpadded,
    per_clip,
    picture,
    stills,
    write,
    write_salicon,
    write_video,
)


def check(clip: Clip, name: str, numbers: range, fps: float | None = 30.0, seen: bool = True) -> None:
    """Frame k of the clip shows, and has the labels of, the k-th number."""
    assert (clip.name, clip.frames, clip.fps) == (name, len(numbers), fps)
    for place, number in enumerate(numbers):
        frame = clip.frame(place)
        assert frame.shape == (36, 64, 3)
        assert frame.dtype == np.uint8
        assert abs(int(frame[18, 32, 1]) - 10 * number) <= 2
        assert np.array_equal(np.flatnonzero(clip.map(place)[0]), [number, number + 1])
        if seen:
            assert np.array_equal(np.argwhere(clip.fixations(place)), [[5, number]])


@pytest.mark.parametrize("source", ["avi", "frames", "images"])
def test_dhf1k(tmp_path: Path, source: str) -> None:
    root = dhf1k(tmp_path, {1: 3, 600: 2, 601: 4, 701: 2}, source)
    assert recognise(root) == "annotation"
    train = open_dataset(root, "train")
    check(train[0], "0001", range(1, 4))
    check(train[1], "0600", range(1, 3))
    (val,) = open_dataset(root, "val")
    check(val, "0601", range(1, 5))
    (test,) = open_dataset(root, "test")
    assert (test.name, test.frames, test.maps) == ("0701", 2, None)
    with pytest.raises(DataError, match=r"701.*: 0701 has no saliency maps; take a split or a dataset that has them$"):
        test.map(0)
    with pytest.raises(DataError, match=r"701.*: 0701 has no fixations; take a split or a dataset that has them$"):
        test.fixations(0)


def test_dhf1k_unpadded_numbers_are_in_their_order(tmp_path: Path) -> None:
    root = dhf1k_unpadded(tmp_path, {2: 11, 10: 2, 650: 3, 800: 2})
    assert recognise(root) == "per-kind"
    train = open_dataset(root, "train")
    check(train[0], "2", range(1, 12))
    check(train[1], "10", range(1, 3))
    check(open_dataset(root, "val")[0], "650", range(1, 4))
    assert open_dataset(root, "test")[0].maps is None


def test_dhf1k_as_numbered_folders_without_fixations(tmp_path: Path) -> None:
    root = per_clip(tmp_path, {"0001": ("{:04d}.png", range(1, 4)), "0602": ("{:04d}.png", range(1, 3))}, False)
    assert recognise(root) == "per-clip"
    check(open_dataset(root, "train")[0], "0001", range(1, 4), seen=False)
    check(open_dataset(root, "val")[0], "0602", range(1, 3), seen=False)


def test_hollywood2_starts_anywhere_and_has_single_frames(tmp_path: Path) -> None:
    root = per_clip(
        tmp_path,
        {
            "training/actioncliptrain00001_1": ("actioncliptrain00001_{:05d}.png", range(7, 10)),
            "training/actioncliptrain00001_2": ("actioncliptrain00001_{:05d}.png", range(10, 11)),
            "testing/actioncliptest00003_1": ("actioncliptest00003_{:05d}.png", range(4, 6)),
        },
    )
    first, second = open_dataset(root, "train")
    check(first, "actioncliptrain00001_1", range(7, 10), 24.0)
    check(second, "actioncliptrain00001_2", range(10, 11), 24.0)
    check(open_dataset(root, "test", fps=25)[0], "actioncliptest00003_1", range(4, 6), 25.0)
    with pytest.raises(DataError, match=r": no split val; there are testing, training$"):
        open_dataset(root, "val")


def test_ucf_sports(tmp_path: Path) -> None:
    name = "Diving-Side-001"
    root = per_clip(tmp_path, {f"testing/{name}": ("Diving-Side_001_{:03d}.png", range(1, 4))})
    check(open_dataset(root, "testing")[0], name, range(1, 4), 24.0)


def test_salicon(tmp_path: Path) -> None:
    names = ["COCO_train2014_000000000009", "COCO_train2014_000000000025"]
    root = stills(tmp_path, "train", names, mat=True)
    write(root / "images" / "test" / "COCO_test2014_000000000001.jpg", picture(1))
    clips = open_dataset(root, "train")
    check(clips[0], names[0], range(1, 2), None)
    check(clips[1], names[1], range(2, 3), None)
    assert open_dataset(root, "test", fps=30)[0].fps is None


def test_any_folder_of_pictures_with_equal_stems(tmp_path: Path) -> None:
    root = stills(tmp_path, "val", ["a", "b10", "b9"])
    clips = open_dataset(root, "val")
    assert [clip.name for clip in clips] == ["a", "b9", "b10"]
    check(clips[1], "b9", range(3, 4), None)
    (tmp_path / "flat").mkdir()
    for kind in ("images", "maps", "fixations"):
        (root / kind / "val").rename(tmp_path / "flat" / kind)
    assert len(open_dataset(tmp_path / "flat", "train")) == 3


def test_dhf1k_fixations_as_matlab_files(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io", reason="SciPy is not installed")
    root = dhf1k(tmp_path, {1: 2}, "images")
    folder = root / "annotation" / "0001" / "fixation"
    for number in (1, 2):
        (folder / f"{number:04d}.png").unlink()
        mask = np.zeros((36, 64), np.uint8)
        mask[5, number] = 1
        scipy.savemat(folder / "maps" / f"{number:04d}.mat", {"I": mask})
    check(open_dataset(root, "train")[0], "0001", range(1, 3))


def test_salicon_points_outside_the_picture_are_dropped(tmp_path: Path) -> None:
    root = stills(tmp_path, "train", ["a"])
    (root / "fixations" / "train" / "a.png").unlink()
    write_salicon(root / "fixations" / "train" / "a.mat", [[(1, 1), (65, 3)], [(64, 36), (0, 5)]])
    (clip,) = open_dataset(root, "train")
    assert np.array_equal(np.argwhere(clip.fixations(0)), [[0, 0], [35, 63]])


def fault(root: Path, split: str, told: str, layout: str | None = None) -> None:
    """Opening says exactly this."""
    with pytest.raises(DataError, match=f"^{re.escape(told)}$"):
        open_dataset(root, split, layout)


def test_folders_that_are_no_dataset(tmp_path: Path) -> None:
    fault(tmp_path / "none", "train", f"{tmp_path / 'none'}: no such folder; give the one that holds the dataset")
    known = "expected video/ and annotation/ (DHF1K), images/ beside maps/ and fixations/, or one folder a clip with"
    told = f"{known} images/ and maps/ in it"
    fault(tmp_path, "train", f"{tmp_path}: no layout that sal-edge knows (found no folder at all); {told}")
    (tmp_path / "stuff").mkdir()
    fault(tmp_path, "train", f"{tmp_path}: no layout that sal-edge knows (found stuff); {told}")
    fault(tmp_path, "train", f"{tmp_path}: layout x is unknown; there are {', '.join(LAYOUTS)}", "x")


def test_splits_that_are_not_there(tmp_path: Path) -> None:
    root = dhf1k(tmp_path / "dhf1k", {1: 1}, "images")
    fault(root, "val", f"{root}: the split val is empty; unpack it, or take another split")
    fault(root, "dev", f"{root}: no split dev; DHF1K has train, val, test")
    other = stills(tmp_path / "stills", "train", ["a"])
    fault(other, "val", f"{other / 'images'}: no split val; there are train")
    named = per_clip(tmp_path / "named", {"dogs": ("{}.png", range(1, 2))})
    told = "its folders bear neither a split's name nor DHF1K's numbers"
    fault(named, "train", f"{named}: no split train; {told}")


def test_files_that_are_missing(tmp_path: Path) -> None:
    root = dhf1k(tmp_path / "a", {1: 3}, "images")
    maps, images = (root / "annotation" / "0001" / kind for kind in ("maps", "images"))
    (maps / "0003.png").unlink()
    fault(root, "train", f"{maps}: 2 files for the 3 frames of {images}; unpack or extract them again")
    write(maps / "0004.png", density(4))
    told = f"{maps / '0004.png'}: does not belong to frame 3 of {images}; unpack or extract them again"
    fault(root, "train", told)

    root = dhf1k(tmp_path / "b", {1: 3})
    write_video(root / "video" / "001.AVI", 4)
    maps, video = root / "annotation" / "0001" / "maps", root / "video" / "001.AVI"
    fault(root, "train", f"{maps}: 3 files for the 4 frames of {video}; unpack or extract them again")
    video.unlink()
    told = f"{maps.parent}: no video of that number in {video.parent}; unpack the videos again"
    fault(root, "train", told)
    write_video(root / "video" / "002.AVI", 4)
    fault(root, "val", f"{root}: the split val is empty; unpack it, or take another split")
    write_video(root / "video" / "001.AVI", 3)
    told = f"{root / 'video' / '002.AVI'}: no folder for it in {root / 'annotation'}; unpack the annotation again"
    fault(root, "train", told)


def test_labels_that_are_missing(tmp_path: Path) -> None:
    root = stills(tmp_path / "a", "train", ["a", "b"])
    maps, images = root / "maps" / "train", root / "images" / "train"
    write(maps / "c.png", density(3))
    fault(root, "train", f"{maps / 'c.png'}: no picture of that name in {images}; unpack them again")
    (maps / "b.png").unlink()
    fault(root, "train", f"{images / 'b.jpg'}: no file of that name in {maps}; unpack them again")
    maps.rename(root / "maps" / "other")
    fault(root, "train", f"{root / 'maps'}: no folder train in it; unpack it again")

    root = dhf1k_unpadded(tmp_path / "b", {1: 2, 2: 2})
    (root / "maps" / "2").rename(root / "maps" / "3")
    fault(root, "train", f"{root / 'frames' / '2'}: no folder 2 in {root / 'maps'}; unpack it again")

    root = per_clip(tmp_path / "c", {"0001": ("{}.png", range(1, 3))})
    (root / "0001" / "maps").rename(root / "0001" / "other")
    fault(root, "train", f"{root / '0001'}: no folder maps or map in it; unpack the maps again")
    (root / "0001" / "images").rename(root / "0001" / "pictures")
    told = f"{root / '0001'}: no folder images or frames in it; unpack or extract the frames again"
    fault(root, "train", told, "per-clip")
    (root / "0001" / "images").mkdir()
    with pytest.raises(DataError, match=r"images: no pictures in it \(\.png .*\); unpack or extract the frames again$"):
        open_dataset(root, "train", "per-clip")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    root = dhf1k(tmp_path, {1: 3}, "images")
    (clip,) = open_dataset(root, "train")
    folder = root / "annotation" / "0001"
    (folder / "images" / "0002.png").write_bytes(b"no picture")
    (folder / "maps" / "0002.png").write_bytes(b"")
    (folder / "fixation" / "0003.png").unlink()
    with pytest.raises(
        DataError, match=r"images/0002\.png: is damaged or not a picture; fetch the file again or remove"
    ):
        clip.frame(1)
    with pytest.raises(
        DataError, match=r"maps/0002\.png: is damaged or not a picture; fetch the file again or remove it$"
    ):
        clip.map(1)
    with pytest.raises(DataError, match=r"fixation/0003\.png: cannot be read \(No such file or directory\); fetch the"):
        clip.fixations(2)


def test_matlab_files_that_cannot_be_read(tmp_path: Path) -> None:
    scipy = pytest.importorskip("scipy.io", reason="SciPy is not installed")
    root = stills(tmp_path, "train", ["a"], mat=True)
    (clip,) = open_dataset(root, "train")
    path = root / "fixations" / "train" / "a.mat"
    scipy.savemat(path, {"other": 1})
    with pytest.raises(DataError, match=r"a\.mat: holds neither DHF1K's variable I nor SALICON's gaze and resolution"):
        clip.fixations(0)
    path.write_bytes(b"no file of MATLAB's, whatever its name may say" * 9)
    with pytest.raises(DataError, match=r"a\.mat: is damaged or not a MATLAB file \(.*\); fetch the file again$"):
        clip.fixations(0)
    path.unlink()
    with pytest.raises(DataError, match=r"a\.mat: cannot be read \(No such file or directory\); fetch the file again$"):
        clip.fixations(0)


@pytest.mark.parametrize("value", [0, 255])
def test_constant_maps(tmp_path: Path, value: int) -> None:
    root = dhf1k(tmp_path, {1: 3, 701: 2}, "images")
    path = write(root / "annotation" / "0001" / "maps" / "0002.png", np.full((36, 64), value, np.uint8))
    (clip,) = open_dataset(root, "train")
    assert clip.usable_map(1) is None
    with pytest.raises(DataError, match=r"maps/0002\.png: the map is constant; leave the frame out$"):
        clip.map(1)
    assert constant_maps([clip, *open_dataset(root, "test")]) == [path]
