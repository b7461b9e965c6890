"""Files that appear whole or not at all: written aside under a hidden name, renamed when done."""

from __future__ import annotations

import contextlib
import glob
import importlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


def claim(path: Path, exist_ok: bool, folder: bool = False) -> Path:
    """Check that ``path`` may be written, make its parent, and give the name to write under meanwhile.

    The name keeps its suffix, because video writers choose the container by it, and is absolute, because FFmpeg takes a
    relative ``run-12:30.mp4`` for an address. What a process that was killed left of the same output is removed.

    Args:
        path: of the file or folder to be.
        exist_ok: whether one that exists is replaced: a file by a file, a folder of pictures by a folder.
        folder: whether a folder is meant.

    Raises:
        OutputError: the path exists and is kept or is of the other kind, or its parent cannot be made or written.
    """
    with writing(path):
        whole = path.absolute()
        exists, is_folder = whole.exists(), whole.is_dir()
        if exists and not exist_ok:
            raise OutputError(f"{path} exists and is kept; choose another name or pass --exist-ok")
        if exists and is_folder != folder:
            raise OutputError(
                f"{path} is a {'folder' if is_folder else 'file'}, which is not replaced; choose another name"
            )
        if exists and is_folder and any(entry.suffix != ".png" or entry.is_dir() for entry in whole.iterdir()):
            raise OutputError(f"{path} holds more than map images, so it is not replaced; choose another name")
        if not whole.name:
            raise OutputError(f"{path} is no name for an output")
        whole.parent.mkdir(parents=True, exist_ok=True)
        if not os.access(whole.parent, os.W_OK):
            raise OutputError(f"{whole.parent}: the folder is not writable")
        _sweep(whole)
    return whole.with_name(f".{whole.stem}.{os.getpid()}.partial{whole.suffix}")


def discard(partial: Path) -> None:
    """Remove what was written aside."""
    if partial.is_dir():
        shutil.rmtree(partial, ignore_errors=True)
    else:
        partial.unlink(missing_ok=True)


def publish(partial: Path, path: Path) -> None:
    """Give what was written aside its name; a folder that was there goes only when the new one is in its place.

    Raises:
        OutputError: the rename failed.
    """
    with writing(path):
        if path.is_dir():
            old = partial.with_name(partial.name + ".old")
            path.rename(old)
            partial.rename(path.absolute())
            shutil.rmtree(old, ignore_errors=True)
        else:
            partial.replace(path.absolute())


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


@contextlib.contextmanager
def locked(path: Path, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Within the block no other process is in a block of the same path; where files cannot be locked, hope.

    ``on_wait`` is called once where another one is in it.

    The lock is a file beside it, which stays: removing it would let two in.
    """
    try:
        fcntl: Any = importlib.import_module("fcntl")
        handle = path.with_name(f".{path.name}.lock").open("w")
    except (ImportError, OSError):
        yield
        return
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield


def _sweep(path: Path) -> None:
    """Remove the partial files of processes that are no more."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}.*.partial*"):
        found = re.fullmatch(rf"\.{re.escape(path.stem)}\.(\d+)\.partial.*", left.name)
        if found and not Path(f"/proc/{found[1]}").exists() and Path("/proc/self").exists():
            discard(left)
