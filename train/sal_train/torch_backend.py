"""PyTorch as one more backend of the runtime, so that a checkpoint can be run wherever an artifact can.

It serves evaluation and comparison: the same session threads the state, whichever engine computes the step.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.manifest import Manifest
from sal_train.contract import describe
from sal_train.models import RecurrentNetwork


class TorchBackend:
    """A network in memory; ``Engine(TorchBackend(network, 192, 256))`` makes streams of it."""

    def __init__(self, network: RecurrentNetwork, height: int, width: int, device: str = "cpu") -> None:
        self.manifest: Manifest = describe(network, "fp32", height, width, None, {})
        self.name, self.note = f"torch {torch.__version__} {device}", ""
        # The caller's own stays where it is: an export, say, goes on with it on the CPU.
        own = network if device == "cpu" else copy.deepcopy(network)
        self._network, self._device = own.eval().to(device), torch.device(device)

    def stream(self, batch: int) -> TorchStream:
        """A fresh stream of ``batch`` slots, its states zero."""
        return TorchStream(self._network, self.manifest, batch, self._device)

    def close(self) -> None:
        """The network is the caller's."""


class TorchStream:
    """A state as a tuple of tensors that each step replaces."""

    def __init__(self, network: RecurrentNetwork, manifest: Manifest, batch: int, device: torch.device) -> None:
        self._network, self._device = network, device
        self._states = network.initial_states(batch, manifest.height, manifest.width, device)

    def step(self, frame: Pixels, carry: Floats) -> Floats:
        """Advance by one frame; see :class:`sal_runtime.backends.Stream`."""
        with torch.inference_mode():
            given = (torch.from_numpy(frame).to(self._device), torch.from_numpy(carry).to(self._device))
            saliency, *after = self._network.step(*given, *self._states)
        self._states = tuple(after)
        result: Floats = saliency.cpu().numpy()
        return result

    def snapshot(self) -> list[Floats]:
        """Copies of the state."""
        return [state.cpu().numpy().copy() for state in self._states]

    def restore(self, states: Sequence[Floats]) -> None:
        """Replace the state."""
        self._states = tuple(torch.from_numpy(np.array(state)).to(self._device) for state in states)

    def close(self) -> None:
        """Let go of the state."""
        self._states = ()
