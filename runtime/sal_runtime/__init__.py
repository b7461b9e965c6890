"""sal-edge's runtime: saliency for every frame of a video or camera, with the recurrent state threaded through time.

    from sal_runtime import Engine

    session = Engine.open("salema30.onnx").stream()
    for frame, seconds in frames:
        saliency = session.step(frame, seconds)

It needs neither torch nor onnx. The vendors' packages are imported where an artifact is opened, not here.
"""

from sal_runtime.engine import Engine
from sal_runtime.errors import SalError
from sal_runtime.manifest import Manifest
from sal_runtime.session import Session
from sal_runtime.snapshot import Snapshot

__all__ = ["Engine", "Manifest", "SalError", "Session", "Snapshot"]
