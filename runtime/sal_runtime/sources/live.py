"""Cameras and network streams: the newest frame counts, and one that was lost is tried again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sal_runtime.errors import SourceError
from sal_runtime.sources import Frame, SourceOptions
from sal_runtime.vision import cv2

OPEN_TIMEOUT_MS = 8000
"""How long a network stream may take to answer."""
CSI = (1280, 720, 30)
"""Width, height and rate that a Jetson's camera is asked for unless the address says otherwise."""
RETRIES = 6
"""Attempts to get a lost stream back, waiting twice as long each time from half a second on: half a minute in all."""


class LiveSource:
    """A camera by number or device, or a stream by address."""

    live = True
    note: str | None = None
    frames: int | None = None

    def __init__(self, text: str, options: SourceOptions) -> None:
        self.name, self._stride = text, options.stride
        self._closed = threading.Event()
        self._capture = self._open()
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = (rate if 0 < rate <= 1000 else 30.0) / options.stride
        self.reconnects = 0
        self._reading = False

    def __iter__(self) -> Iterator[Frame]:
        """Frames as they come, stamped when they came; after a loss the stream is opened again, with back-off.

        Raises:
            SourceError: it was lost and did not come back.
        """
        index = 0
        self._reading = True
        try:
            while not self._closed.is_set():
                began = time.perf_counter()
                read, image = self._capture.read()
                if not read:
                    self._reconnect()
                    continue
                now = time.perf_counter()
                if index % self._stride == 0:
                    yield Frame(image, time.monotonic(), index, f"{index:06d}", now - began, self.reconnects)
                index += 1
        finally:
            self._capture.release()

    def close(self) -> None:
        """End a reader in another thread, which then releases the device: OpenCV must not release it under a read."""
        self._closed.set()
        if not self._reading:
            self._capture.release()

    def _open(self) -> Any:
        if self.name.isdigit() or self.name.startswith("/dev/"):
            device = f"/dev/video{self.name}" if self.name.isdigit() else self.name
            if device.startswith("/dev/video") and Path("/dev").is_dir() and not Path(device).exists():
                there = sorted(str(p) for p in Path("/dev").glob("video*"))
                raise SourceError(
                    f"camera {self.name}: {device} is not there; cameras found: {', '.join(there) or 'none'}"
                )
            capture = cv2.VideoCapture(int(self.name) if self.name.isdigit() else self.name)
            # A camera's driver queues old frames otherwise; not all obey, the reading thread drains the rest.
            capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        elif self.name.lower().startswith("csi://"):
            pipeline = csi_pipeline(self.name)
            _require_gstreamer(self.name)
            capture = cv2.VideoCapture(pipeline, cv2.CAP_GSTREAMER)
        else:
            limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, OPEN_TIMEOUT_MS]
            capture = cv2.VideoCapture(self.name, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            raise SourceError(f"{self.name}: the camera or stream does not open; is it in use, or the address wrong?")
        return capture

    def _reconnect(self) -> None:
        wait = 0.5
        for _ in range(RETRIES):
            self._capture.release()
            if self._closed.wait(wait):
                return
            try:
                self._capture = self._open()
            except SourceError:
                wait *= 2
                continue
            self.reconnects += 1
            return
        raise SourceError(f"{self.name}: the stream was lost and did not come back")


def csi_pipeline(address: str) -> str:
    """The GStreamer pipeline of a Jetson's camera: ``csi://0``, or ``csi://0?width=1920&height=1080&fps=60``.

    The newest frame is kept and others are dropped at the sink, so that nothing queues between sensor and model.

    Raises:
        SourceError: an address that is none.
    """
    parts = urlsplit(address)
    asked = dict(zip(("width", "height", "fps"), CSI, strict=True))
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not parts.netloc.isdigit() or not set(given) <= set(asked) or not all(v.isdigit() for v in given.values()):
        raise SourceError(f"{address}: a CSI camera is csi://N, or csi://N?width=W&height=H&fps=F")
    asked.update({name: int(value) for name, value in given.items()})
    size = f"width={asked['width']},height={asked['height']},framerate={asked['fps']}/1"
    return (
        f"nvarguscamerasrc sensor-id={parts.netloc} ! video/x-raw(memory:NVMM),{size},format=NV12 ! nvvidconv ! "
        "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! appsink drop=true max-buffers=1 sync=false"
    )


def _require_gstreamer(address: str) -> None:
    found = [line.split(":", 1)[1].strip() for line in cv2.getBuildInformation().splitlines() if "GStreamer:" in line]
    if not found or found[0].upper().startswith("NO"):
        raise SourceError(
            f"{address}: this OpenCV has no GStreamer, which a CSI camera needs; on a Jetson take the system's "
            "(an environment made with --system-site-packages, and no opencv-python in it)"
        )
