"""What every contestant looks like to the worker."""

from __future__ import annotations

from typing import Protocol

from sal_runtime.arrays import Floats, Pixels


class Stepper(Protocol):
    """A network with its state, ready to step."""

    engine: str
    """What computes, with its version."""

    def step(self, frame: Pixels) -> Floats:
        """One frame uint8 [H, W, 3] of the network's size to its map float32 [H, W], finished and readable."""

    def restart(self) -> None:
        """Let the next frame be a first frame; maps are compared from here on, and nothing is timed."""
