"""Videos read in order, out of order, by forked workers, and when they are broken."""

import multiprocessing
import pickle
from pathlib import Path

import pytest

from sal_runtime.errors import DataError
from sal_train.data import Clip, open_dataset
from sal_train.data.video import probe, read_frame
from trees import dhf1k, write_video


def told(clip: Clip, index: int) -> int:
    """The number of the frame that is read, by its brightness."""
    return round(int(clip.frame(index)[10, 10, 1]) / 10)


@pytest.mark.parametrize("codec", ["MJPG", "XVID"])
def test_any_order(tmp_path: Path, codec: str) -> None:
    path = write_video(tmp_path / "a.avi", 20, 12.5, codec)
    clip = Clip("a", 20, 12.5, path)
    assert probe(path) == (20, 12.5)
    for index in (0, 1, 2, 7, 6, 19, 0, 12):
        assert told(clip, index) == index + 1


def test_more_videos_than_are_kept_open(tmp_path: Path) -> None:
    clips = [Clip(str(n), 5, 30.0, write_video(tmp_path / f"{n}.avi", 5)) for n in range(7)]
    for index in range(5):
        assert [told(clip, index) for clip in clips] == [index + 1] * 7


def test_a_forked_worker_reads_its_own(tmp_path: Path) -> None:
    (clip,) = open_dataset(dhf1k(tmp_path, {1: 6}), "train")
    assert told(clip, 0) == 1
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.starmap(told, [(clip, index) for index in range(6)]) == [1, 2, 3, 4, 5, 6]
    assert told(clip, 1) == 2
    assert pickle.loads(pickle.dumps(clip)) == clip


def test_broken_videos(tmp_path: Path) -> None:
    path = tmp_path / "a.avi"
    path.write_bytes(b"no video")
    with pytest.raises(
        DataError, match=r"a\.avi: cannot be opened as a video; fetch the file again or extract its frames"
    ):
        probe(path)
    with pytest.raises(
        DataError, match=r"a\.avi: frame 1 cannot be decoded; fetch the file again or extract its frames"
    ):
        read_frame(path, 0)
    short = write_video(tmp_path / "b.avi", 3)
    with pytest.raises(
        DataError, match=r"b\.avi: frame 5 cannot be decoded; fetch the file again or extract its frames"
    ):
        read_frame(short, 4)
    assert read_frame(short, 2).mean() == pytest.approx(30, abs=2)
