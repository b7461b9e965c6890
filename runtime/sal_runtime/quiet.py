"""What libraries write to the terminal by themselves, kept away from it: their reasons belong into our errors."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


class Heard:
    """What was written within the block; complete once it has ended."""

    text = ""


@contextlib.contextmanager
def hushed(*descriptors: int) -> Iterator[Heard]:
    """Within the block nothing reaches these file descriptors (by default standard error) from whatever language."""
    heard = Heard()
    _flush()
    with tempfile.TemporaryFile() as file:
        kept = {number: os.dup(number) for number in descriptors or (2,)}
        try:
            for number in kept:
                os.dup2(file.fileno(), number)
            yield heard
        finally:
            _flush()
            for number, own in kept.items():
                os.dup2(own, number)
                os.close(own)
            file.seek(0)
            heard.text = file.read().decode(errors="replace")


def _flush() -> None:
    """Let what Python still holds go where it was meant to."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
