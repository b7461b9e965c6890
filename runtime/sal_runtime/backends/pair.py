"""Two sets of state buffers that swap roles at every step: one is read, the other written, never one for both.

Every backend keeps its recurrence in such a pair. What a buffer is (an array, memory of a device) is the backend's
matter; so is how it is copied from and to the host, which happens for snapshots only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np

from sal_runtime.arrays import Floats
from sal_runtime.manifest import Manifest

Buffer = TypeVar("Buffer")


class StatePair(Generic[Buffer]):
    """The state before a step, the state after it, and whose turn it is."""

    def __init__(
        self,
        sides: tuple[Sequence[Buffer], Sequence[Buffer]],
        read: Callable[[Buffer], Floats],
        write: Callable[[Buffer, Floats], None],
    ) -> None:
        """Take two sets of buffers, each in the manifest's order and zero.

        Args:
            sides: the two sets.
            read: a buffer's content as an array that is the caller's.
            write: copies an array into a buffer.
        """
        self.sides = sides
        self.turn = 0
        """0 or 1: which side the next step reads."""
        self._read, self._write = read, write

    @property
    def before(self) -> Sequence[Buffer]:
        """What the next step reads."""
        return self.sides[self.turn]

    @property
    def after(self) -> Sequence[Buffer]:
        """What the next step writes."""
        return self.sides[1 - self.turn]

    def swap(self) -> None:
        """A step succeeded: what it wrote is what the next one reads. After a failed one the state is as it was."""
        self.turn = 1 - self.turn

    def snapshot(self) -> list[Floats]:
        """The state that the next step will read; the arrays are the caller's."""
        return [self._read(buffer) for buffer in self.before]

    def restore(self, states: Sequence[Floats]) -> None:
        """Overwrite the state that the next step will read."""
        for buffer, state in zip(self.before, states, strict=True):
            self._write(buffer, state)


def host_pair(manifest: Manifest, batch: int) -> StatePair[Floats]:
    """A pair in the host's own memory."""
    first, second = ([state.input.zeros(batch) for state in manifest.states] for _ in range(2))
    return StatePair((first, second), np.copy, np.copyto)
