"""Sources on real files and a real server on the loopback."""

from __future__ import annotations

import http.server
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sal_runtime.errors import SourceError
from sal_runtime.feed import Feed
from sal_runtime.sources import SourceOptions, open_source
from sal_runtime.sources import live as live_module
from sal_runtime.vision import cv2
from tiny import SHARED, grey, write_clip


def brightness(source: str, **options: object) -> list[float]:
    """The mean of each frame."""
    return [float(f.image.mean()) for f in open_source(source, SourceOptions(**options))]  # type: ignore[arg-type]


def test_a_video_gives_every_frame_in_order_with_its_times(tmp_path: Path) -> None:
    source = open_source(str(write_clip(tmp_path / "clip.avi")))
    assert (source.fps, source.frames, source.live) == (12.5, 12, False)
    frames = list(source)
    assert [f.index for f in frames] == list(range(12))
    assert [f.timestamp for f in frames] == pytest.approx([i / 12.5 for i in range(12)])
    assert [f.image.mean() for f in frames] == pytest.approx([20.0 * i for i in range(12)], abs=3.0)


def test_a_stride_keeps_the_time(tmp_path: Path) -> None:
    source = open_source(str(write_clip(tmp_path / "clip.avi")), SourceOptions(stride=5))
    assert (source.fps, source.frames) == (2.5, 3)
    assert [(f.index, round(f.timestamp, 3)) for f in source] == [(0, 0.0), (5, 0.4), (10, 0.8)]


def test_a_truncated_video_is_an_error_at_its_end(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "clip.avi", frames=60).read_bytes()
    (tmp_path / "cut.avi").write_bytes(data[: len(data) // 2])
    with pytest.raises(SourceError, match=r"cut\.avi: ends after \d+ of 60 frames, so it is truncated or damaged"):
        brightness(str(tmp_path / "cut.avi"))
    assert 10 < len(brightness(str(tmp_path / "cut.avi"), allow_truncated=True)) < 50


def test_a_header_that_counts_too_many_is_no_damage(tmp_path: Path) -> None:
    """A whole AVI whose header promises twelve frames more: all there are, and a note."""
    path = write_clip(tmp_path / "clip.avi")
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"avih", 24), (b"strh", 40)):
        at = data.index(mark) + offset
        assert int.from_bytes(data[at : at + 4], "little") == 12
        data[at : at + 4] = (24).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    source = open_source(path.as_uri())
    assert len(list(source)) == 12
    assert source.note is None or source.note.endswith("ends after 12 of 24 frames that its header counts")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real clips are not beside this checkout")
@pytest.mark.parametrize(("name", "frames", "fps"), [("car-detection.mp4", 377, 12.5), ("dhf1k-0068.avi", 540, 30.0)])
def test_real_clips(name: str, frames: int, fps: float) -> None:
    source = open_source(str(SHARED / "clips" / name))
    times = [f.timestamp for f in source]
    assert (len(times), source.frames, source.fps) == (frames, frames, fps)
    assert np.diff(times) == pytest.approx(1.0 / fps, abs=1e-3)


def test_what_is_not_a_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("not a video at all")
    with pytest.raises(SourceError, match=r"notes\.mp4: not a video that can be decoded, or damaged"):
        open_source(str(tmp_path / "notes.mp4"))
    with pytest.raises(SourceError, match="there is no such file, folder or camera"):
        open_source(str(tmp_path / "absent.mp4"))


def test_pictures_come_in_a_persons_order_at_a_given_rate(tmp_path: Path) -> None:
    for number in (10, 9, 1):
        cv2.imwrite(str(tmp_path / f"frame{number}.png"), grey(number * 10))
    (tmp_path / "notes.txt").write_text("left alone")
    frames = list(open_source(str(tmp_path), SourceOptions(fps=10)))
    assert [f.name for f in frames] == ["frame1", "frame9", "frame10"]
    assert [f.timestamp for f in frames] == pytest.approx([0.0, 0.1, 0.2])
    assert brightness(str(tmp_path / "frame1*.png")) == [10.0, 100.0]
    assert brightness(str(tmp_path / "frame9.png")) == [90.0]


def test_grey_and_transparent_pictures_become_bgr(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 8), 50, np.uint8))
    cv2.imwrite(str(tmp_path / "b.png"), np.full((8, 8, 4), 60, np.uint8))
    assert [f.image.shape for f in open_source(str(tmp_path))] == [(8, 8, 3), (8, 8, 3)]


def test_folders_and_patterns_without_pictures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"the folder gives no pictures \(nothing is there"):
        open_source(str(tmp_path))
    (tmp_path / "clip.mp4").write_bytes(b"")
    with pytest.raises(SourceError, match="the 1 files there are none"):
        open_source(str(tmp_path))
    with pytest.raises(SourceError, match="the pattern gives no pictures"):
        open_source(str(tmp_path / "*.jpg"))
    (tmp_path / "broken.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(SourceError, match=r"broken\.png: not a picture that can be decoded"):
        brightness(str(tmp_path))


def test_the_demo_is_five_moving_shots_of_photographs() -> None:
    source = open_source("demo")
    frames = [f.image for f in source]
    assert (len(frames), source.fps, frames[0].shape) == (300, 30.0, (360, 640, 3))
    steps = [float(np.abs(a.astype(int) - b).mean()) for a, b in itertools.pairwise(frames)]
    assert sorted(np.argsort(steps)[-4:] + 1) == [60, 120, 180, 240], "the cuts are the largest changes"
    assert sum(step > 0.2 for step in steps) > 250, "the camera moves within the shots"


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="camera 99: /dev/video99 is not there; cameras found: "):
        open_source("99")


def test_an_address_where_nobody_listens() -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9/live: the camera or stream does not open"):
        open_source("http://127.0.0.1:9/live")


class _Camera(http.server.BaseHTTPRequestHandler):
    """An MJPEG camera: numbered frames at 60 a second, each connection lost after 40 of them."""

    counter = itertools.count()
    connections = 0

    def do_GET(self) -> None:
        type(self).connections += 1
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        for _ in range(40):
            data = cv2.imencode(".jpg", grey(next(self.counter) % 250, 48, 64))[1].tobytes()
            part = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            try:
                self.wfile.write(part + data + b"\r\n")
            except OSError:
                return
            time.sleep(1 / 60)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def camera() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Camera)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/live.mjpg"
    server.shutdown()


def test_a_live_stream_gives_the_newest_frame_and_comes_back(camera: str) -> None:
    """A reader slower than the camera: frames are dropped and counted, none comes twice, a loss is survived."""
    with Feed(open_source(camera)) as feed:
        frames = []
        for frame in feed.frames():
            frames.append(frame)
            time.sleep(0.08)
            if _Camera.connections > 2 and len(frames) > 10:
                break
    indices = [f.index for f in frames]
    assert indices == sorted(set(indices))
    assert feed.dropped == indices[-1] + 1 - len(frames) > 0
    assert frames[-1].connection > 0
    assert all(later.timestamp > sooner.timestamp for sooner, later in itertools.pairwise(frames))


def test_a_stream_that_stays_away_is_given_up(camera: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "RETRIES", 1)
    source = open_source(camera)
    source.name = "http://127.0.0.1:9/gone"
    with Feed(source) as feed, pytest.raises(SourceError, match="the stream was lost and did not come back"):
        for _ in feed.frames():
            pass


def test_a_feed_hands_on_the_sources_error_after_its_frames(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "1.png"), grey(1))
    (tmp_path / "2.png").write_bytes(b"broken")
    seen = []
    with Feed(open_source(str(tmp_path))) as feed, pytest.raises(SourceError, match=r"2\.png"):  # noqa: PT012
        for frame in feed.frames():
            seen.append(frame.name)
    assert seen == ["1"]


def test_leaving_a_feed_early_ends_its_thread(tmp_path: Path) -> None:
    with Feed(open_source(str(write_clip(tmp_path / "clip.avi", frames=200)))) as feed:
        next(feed.frames())
    assert not [t for t in threading.enumerate() if t.name.startswith("feed")]


def test_a_csi_camera_is_a_gstreamer_pipeline_with_the_newest_frame_at_its_end() -> None:
    pipeline = live_module.csi_pipeline("csi://1?width=1920&height=1080&fps=60")
    assert pipeline.startswith("nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1920,height=1080,")
    assert "framerate=60/1,format=NV12" in pipeline
    assert pipeline.endswith("format=BGR ! appsink drop=true max-buffers=1 sync=false")
    assert "width=1280,height=720,framerate=30/1" in live_module.csi_pipeline("csi://0")
    for wrong in ("csi://", "csi://a", "csi://0?size=4", "csi://0?width=wide"):
        with pytest.raises(SourceError, match=r"a CSI camera is csi://N, or csi://N\?width=W&height=H&fps=F"):
            live_module.csi_pipeline(wrong)


def test_a_csi_camera_wants_an_opencv_with_gstreamer() -> None:
    if any("GStreamer:" in line and "NO" not in line for line in cv2.getBuildInformation().splitlines()):
        pytest.skip("this OpenCV has GStreamer")
    with pytest.raises(SourceError, match=r"csi://0: this OpenCV has no GStreamer, .* on a Jetson take the system's"):
        open_source("csi://0")
