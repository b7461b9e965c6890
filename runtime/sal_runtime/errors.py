"""Every error that a user of sal-edge can meet.

    SalError
    ├── MissingDependency   a package or a system library is absent; says what to install
    ├── ArtifactError       the model file: not one of ours, damaged, of an unknown version
    ├── DataError           a dataset's folder or file that is missing, unreadable or unfit
    ├── CheckpointError     trained weights: damaged, unsafe, or not fitting their configuration
    ├── BackendError        an inference engine refused; the vendor's exception is the cause
    │   └── NoGpu           this machine has none, or no driver for one
    ├── InputError          a frame or an argument that does not fit the model
    ├── SourceError         a video, folder or camera that cannot be read
    ├── OutputError         a file that cannot be written, or must not be overwritten
    ├── StateError          a recurrent state that is not finite or belongs to another model
    ├── TrainingError       a training that cannot go on: a loss that is not finite, a state that does not fit
    └── ParityError         an exported artifact that does not compute what its network computes

A message is one sentence that names the thing at fault and what to do about it. At the command line it is printed alone
and the exit code is 2; a traceback is a fault of ours. Vendors' exceptions are mapped where they are caught, with
``raise … from``, so that a library user still sees the cause.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


class SalError(Exception):
    """Base of all the errors above."""


class MissingDependency(SalError, ImportError):  # noqa: N818 - reads as what it is
    """A package of an extra, or a system library, is not installed."""


class ArtifactError(SalError):
    """The file is not an artifact that this runtime can run."""


class CheckpointError(SalError):
    """The weights cannot be read or do not fit the network."""


class DataError(SalError):
    """A dataset's folder or file is missing, unreadable or unfit."""


class BackendError(SalError):
    """An inference engine could not open or run an artifact."""


class NoGpu(BackendError):  # noqa: N818 - reads as what it is
    """There is no GPU, or no driver; what is there and cannot be used is another error."""


class InputError(SalError, ValueError):
    """An argument or a frame has the wrong type, shape or value."""


class SourceError(SalError):
    """A source of frames cannot be opened, or breaks off."""


class OutputError(SalError):
    """A result cannot be written."""


class StateError(SalError):
    """The recurrent state cannot be used."""


class TrainingError(SalError):
    """A training cannot start, resume or go on."""


class ParityError(SalError):
    """An artifact and the network it was made from disagree."""


def first_line(exc: BaseException) -> str:
    """A vendor's message in a line; its type's name where it has none."""
    return next((line.strip() for line in str(exc).splitlines() if line.strip()), type(exc).__name__)


@contextlib.contextmanager
def failing_as(
    what: str, words: Callable[[BaseException], str] = first_line, kind: type[Exception] = Exception
) -> Iterator[None]:
    """Within the block a vendor's exception becomes ours; our own pass.

    Args:
        what: failed.
        words: of the exception that are worth telling.
        kind: of the vendor's exceptions; most share no narrower base.

    Raises:
        BackendError: instead of them.
    """
    try:
        yield
    except SalError:
        raise
    except kind as exc:
        raise BackendError(f"{what}: {words(exc)}") from exc
