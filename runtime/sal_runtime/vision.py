"""The one place that imports OpenCV.

Everybody else writes ``from sal_runtime.vision import cv2``: a system without the libraries that opencv-python links
then gives one sentence, and OpenCV's and FFmpeg's own chatter on stderr is switched off before the first import,
because what goes wrong is said by our errors.
"""

import importlib
import os
from typing import Any

from sal_runtime.errors import MissingDependency

os.environ.setdefault("OPENCV_LOG_LEVEL", "OFF")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

_PACKAGES = {"libGL": "libgl1", "libgthread": "libglib2.0-0", "libglib": "libglib2.0-0", "libxcb": "libxcb1"}
"""Debian's package for each shared library that opencv-python's wheel expects of the system."""


def _explain(error: ImportError) -> str:
    """One sentence for a failed import of OpenCV."""
    text = str(error)
    if isinstance(error, ModuleNotFoundError) and error.name == "cv2":
        return "OpenCV is not installed: pip install opencv-python (or opencv-python-headless where there is no screen)"
    package = next((name for library, name in _PACKAGES.items() if library in text), None)
    remedy = f"install it (Debian, Ubuntu: apt-get install {package}) or take" if package else "take"
    return (
        f"OpenCV cannot load a system library ({text}): {remedy} the build without a screen: "
        "pip uninstall -y opencv-python && pip install opencv-python-headless"
    )


try:
    # Untyped on purpose: OpenCV's annotations differ from version to version and call every picture a Mat.
    cv2: Any = importlib.import_module("cv2")
except ImportError as exc:
    raise MissingDependency(_explain(exc)) from exc
