"""A window that shows what is going on; ``q`` or Escape ends the run."""

from __future__ import annotations

import os
import sys

from sal_runtime.errors import MissingDependency
from sal_runtime.render import Renderer
from sal_runtime.sinks import Result
from sal_runtime.vision import cv2

_TITLE = "sal-edge"
_NO_WINDOW = (
    "no window can be opened: there is no screen, or this OpenCV is a headless build; leave out --show and use --save"
)


class Window:
    """Shows the newest result. It is driven from the main thread, where graphical toolkits want to be."""

    def __init__(self, renderer: Renderer) -> None:
        self._render = renderer
        self.closed = False
        if sys.platform == "linux" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
            raise MissingDependency(_NO_WINDOW)  # Qt would end the process, not raise
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as exc:
            raise MissingDependency(_NO_WINDOW) from exc

    def write(self, result: Result) -> None:
        """Show one result."""
        cv2.imshow(_TITLE, self._render(result.frame.image, result.saliency))
        self.closed = (cv2.waitKey(1) & 0xFF) in (ord("q"), 27) or cv2.getWindowProperty(
            _TITLE, cv2.WND_PROP_VISIBLE
        ) < 1

    def close(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()
