"""PyTorch as users run it: per frame, unfolded, without a graph."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sal_runtime.arrays import Floats, Pixels
from sal_train.checkpoint import load_checkpoint
from sal_train.models import RecurrentNetwork


class TorchStepper:
    """The network's own step; the state is a tuple of tensors."""

    def __init__(self, network: RecurrentNetwork, channels_last: bool, compiled: bool, engine: str) -> None:
        self.engine = engine
        self._network, self._channels_last = network, channels_last
        self._step = torch.compile(network.step) if compiled else network.step
        self._normal = float(network.normal_carry(1).detach())
        self._fresh = True
        self._states: tuple[Tensor, ...] = ()

    def step(self, frame: Pixels) -> Floats:
        """See :class:`sal_bench.peers.stepper.Stepper`."""
        height, width = frame.shape[:2]
        if self._fresh:
            self._states = self._network.initial_states(1, height, width)
        carry = torch.full((1, 1), 0.0 if self._fresh else self._normal)
        self._fresh = False
        picture = torch.from_numpy(frame)[None]
        if not self._channels_last:
            # The step reads NHWC and permutes, which makes every layer channels-last. The released code feeds NCHW
            # memory; so does a picture whose planes lie one after the other.
            picture = picture.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
        with torch.inference_mode():
            saliency, *after = self._step(picture, carry, *self._states)
        self._states = tuple(after)
        result: Floats = saliency[0].numpy()
        return result

    def restart(self) -> None:
        """Forget."""
        self._fresh = True


def open_torch(
    path: Path, threads: int | None, channels_last: bool = True, bf16: bool = False, compiled: bool = False
) -> TorchStepper:
    """The checkpoint in PyTorch; in bf16 the convolutions are, states and their arithmetic stay float32."""
    if threads is not None:
        torch.set_num_threads(threads)
    network = load_checkpoint(path)
    if bf16:
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
                module.to(torch.bfloat16)
    if channels_last:
        network.to(memory_format=torch.channels_last)
    form = [name for name, on in (("channels-last", channels_last), ("bf16", bf16), ("compiled", compiled)) if on]
    return TorchStepper(network, channels_last, compiled, " ".join(["torch", str(torch.__version__), *form]))
