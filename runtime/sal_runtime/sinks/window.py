"""A window that shows what is going on; ``q`` or Escape ends the run."""

from __future__ import annotations

from pathlib import Path

from sal_runtime.errors import MissingDependency
from sal_runtime.render import Renderer
from sal_runtime.sinks import Result
from sal_runtime.vision import cv2

_TITLE = "sal-edge"


class Window:
    """Shows the newest result. It is driven from the main thread, where graphical toolkits want to be."""

    path: Path | None = None

    def __init__(self, renderer: Renderer) -> None:
        self._render = renderer
        self.closed = False
        try:
            cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL)
        except cv2.error as exc:
            raise MissingDependency(
                "no window can be opened: this OpenCV is a headless build or there is no screen; "
                "leave out --show and use --save"
            ) from exc

    def write(self, result: Result) -> None:
        """Show one result."""
        cv2.imshow(_TITLE, self._render(result.frame.image, result.saliency))
        self.closed = (cv2.waitKey(1) & 0xFF) in (ord("q"), 27)

    def commit(self) -> None:
        """Close the window."""
        cv2.destroyAllWindows()

    def discard(self) -> None:
        """Nothing was kept."""
