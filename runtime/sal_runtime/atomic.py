"""Files that appear whole or not at all: written aside under a hidden name, renamed when done."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from sal_runtime.errors import OutputError


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Within the block an ``OSError``, such as a full disk, becomes an error that names ``path``.

    Raises:
        OutputError: instead of the ``OSError``.
    """
    try:
        yield
    except OSError as exc:
        raise OutputError(f"{path}: cannot be written ({exc.strerror or exc})") from exc


def claim(path: Path, exist_ok: bool) -> Path:
    """Check that ``path`` may be written, make its folder, and give the name to write under meanwhile.

    The name keeps its suffix, because video writers choose the container by it.

    Raises:
        OutputError: the path exists (and ``exist_ok`` is off), or its folder cannot be made or written.
    """
    if path.exists() and not exist_ok:
        raise OutputError(f"{path} exists and is kept; choose another name or pass --exist-ok")
    with writing(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"{path.parent}: the folder is not writable")
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


def discard(partial: Path) -> None:
    """Remove what was written aside."""
    if partial.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
    else:
        partial.unlink(missing_ok=True)


def publish(partial: Path, path: Path) -> None:
    """Give what was written aside its name; a folder replaces one that was there.

    Raises:
        OutputError: the rename failed.
    """
    with writing(path):
        if path.is_dir():
            shutil.rmtree(path)
        partial.replace(path)


@contextlib.contextmanager
def aside(path: Path, exist_ok: bool) -> Iterator[Path]:
    """Within the block the file is written under another name; at its end it appears, after an error it never existed.

    Raises:
        OutputError: see :func:`claim`; and for any ``OSError`` within the block, such as a full disk.
    """
    partial = claim(path, exist_ok)
    try:
        with writing(path):
            yield partial
    except BaseException:
        discard(partial)
        raise
    publish(partial, path)
