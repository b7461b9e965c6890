"""PyTorch as users run it: per frame, unfolded, without a graph; and on a GPU also as its best users do, with one."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sal_runtime.arrays import Floats, Pixels
from sal_train.checkpoint import load_checkpoint
from sal_train.models import RecurrentNetwork


class TorchStepper:
    """The network's own step; the state is a tuple of tensors."""

    def __init__(
        self, network: RecurrentNetwork, channels_last: bool, compiled: bool, engine: str, device: torch.device
    ) -> None:
        self.engine = engine
        self._network, self._channels_last, self._device = network, channels_last, device
        self._step = torch.compile(network.step) if compiled else network.step
        self._normal = float(network.normal_carry(1).detach())
        self._fresh = True
        self._states: tuple[Tensor, ...] = ()

    def step(self, frame: Pixels) -> Floats:
        """See :class:`sal_bench.peers.stepper.Stepper`."""
        height, width = frame.shape[:2]
        if self._fresh:
            self._states = self._network.initial_states(1, height, width, self._device)
        carry = torch.full((1, 1), 0.0 if self._fresh else self._normal, device=self._device)
        self._fresh = False
        picture = torch.from_numpy(frame)[None].to(self._device)
        if not self._channels_last:
            # The step reads NHWC and permutes, which makes every layer channels-last. The released code feeds NCHW
            # memory; so does a picture whose planes lie one after the other.
            picture = picture.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1)
        with torch.inference_mode():
            saliency, *after = self._step(picture, carry, *self._states)
        self._states = tuple(after)
        result: Floats = saliency[0].cpu().numpy()
        return result

    def restart(self) -> None:
        """Forget, and round no more to TF32: these maps are what all others are held to."""
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        self._fresh = True


class TorchGraphStepper:
    """A step as a CUDA graph: fixed places for picture, carry and states, and one launch a frame."""

    def __init__(self, network: RecurrentNetwork, engine: str, device: torch.device) -> None:
        self.engine = engine
        self._network, self._device = network, device
        self._normal = float(network.normal_carry(1).detach())
        self._fresh = True
        self._graph: torch.cuda.CUDAGraph | None = None

    def step(self, frame: Pixels) -> Floats:
        """See :class:`sal_bench.peers.stepper.Stepper`."""
        if self._graph is None:
            self._graph = self._capture(*frame.shape[:2])
        if self._fresh:
            for state in self._states:
                state.zero_()
        self._carry.fill_(0.0 if self._fresh else self._normal)
        self._fresh = False
        self._picture.copy_(torch.from_numpy(frame)[None])
        self._graph.replay()
        result: Floats = self._saliency[0].cpu().numpy()
        return result

    def restart(self) -> None:
        """Forget."""
        self._fresh = True

    def _capture(self, height: int, width: int) -> torch.cuda.CUDAGraph:
        network, device = self._network, self._device
        self._picture = torch.zeros((1, height, width, 3), dtype=torch.uint8, device=device)
        self._carry = torch.zeros((1, 1), device=device)
        self._states = network.initial_states(1, height, width, device)
        side, graph = torch.cuda.Stream(device), torch.cuda.CUDAGraph()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream(device))
        with torch.no_grad(), torch.cuda.stream(side):
            for _ in range(3):
                network.step(self._picture, self._carry, *self._states)
        torch.cuda.current_stream(device).wait_stream(side)
        with torch.no_grad(), torch.cuda.graph(graph):
            self._saliency, *after = network.step(self._picture, self._carry, *self._states)
            for old, new in zip(self._states, after, strict=True):
                old.copy_(new)
        return graph


def open_torch(
    path: Path,
    threads: int | None,
    channels_last: bool = True,
    dtype: str = "float32",
    compiled: bool = False,
    device: str = "cpu",
    graphs: bool = False,
) -> TorchStepper | TorchGraphStepper:
    """The checkpoint in PyTorch; in ``bfloat16`` or ``float16`` the convolutions are, states stay float32."""
    if threads is not None:
        torch.set_num_threads(threads)
    where, kind = torch.device(device), getattr(torch, dtype)
    network = load_checkpoint(path).to(where)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.to(kind)
    if channels_last:
        network.to(memory_format=torch.channels_last)
    named = (("channels-last", channels_last), (dtype, dtype != "float32"), ("compiled", compiled), ("graph", graphs))
    form = [name for name, on in named if on]
    engine = " ".join(["torch", str(torch.__version__), *form, *([device] if device != "cpu" else [])])
    if graphs:
        torch.backends.cudnn.benchmark = True  # sizes never change
        return TorchGraphStepper(network, engine, where)
    return TorchStepper(network, channels_last, compiled, engine, where)
