"""Where things are kept between starts: compiled models, engines, timings."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path | None:
    """The folder ``name`` in the user's cache (``XDG_CACHE_HOME``, else ``~/.cache``); None where none can be made."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sal-edge" / name
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # a user may have no home
        return None
    return folder if os.access(folder, os.W_OK) else None
