"""sal-edge's runtime: saliency for every frame of a video or camera, with the recurrent state threaded through time.

    from sal_runtime import Engine

    session = Engine.open("salema30.onnx").stream()
    for frame, seconds in frames:
        saliency = session.step(frame, seconds)

It needs neither torch nor onnx. Names are imported when they are first used, so that a command can still say, in a
sentence, that OpenCV or an engine is missing.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sal_runtime.engine import Engine
    from sal_runtime.errors import SalError
    from sal_runtime.manifest import Manifest
    from sal_runtime.session import Session
    from sal_runtime.snapshot import Snapshot

__all__ = ["Engine", "Manifest", "SalError", "Session", "Snapshot"]

_HOMES = {
    "Engine": "engine",
    "Manifest": "manifest",
    "SalError": "errors",
    "Session": "session",
    "Snapshot": "snapshot",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"sal_runtime.{_HOMES[name]}"), name)
