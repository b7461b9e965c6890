"""What the checks share: the network, its artifacts by precision, and the engine that is meant."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from sal_bench.gpu_check.findings import NotRun
from sal_export.options import ExportOptions
from sal_export.parity import parity_frames
from sal_export.pipeline import export_onnx
from sal_runtime.arrays import Pixels
from sal_runtime.backends import Backend, Options, open_backend
from sal_runtime.backends.tensorrt_backend import TensorRtBackend
from sal_train.models import RecurrentNetwork
from sal_train.torch_backend import TorchBackend


@dataclass
class Rig:
    """One network on one device."""

    network: RecurrentNetwork
    origin: dict[str, object]
    folder: Path
    source: str
    """The clip that all see."""
    device: str = "cuda"
    backend: str = "tensorrt"
    height: int = 192
    width: int = 256
    frames: int = 300
    """Of a parity check."""
    steps: int = 10_000
    """Over which memory must stay flat."""
    device_api: str = "cuda.core"
    _made: dict[str, Path] = field(default_factory=dict)

    @property
    def rehearsal(self) -> bool:
        """Whether there is no GPU in it."""
        return self.device == "cpu"

    def artifact(self, precision: str, **changes: Any) -> Path:
        """The ``.onnx`` of a precision, exported when first asked for."""
        name = "-".join([precision, *(f"{key}-{value}" for key, value in changes.items())])
        name = "".join(c if c.isalnum() or c in "-." else "_" for c in name)
        if name not in self._made:
            path = self.folder / f"{name}.onnx"
            options = ExportOptions(
                precision=precision,
                height=self.height,
                width=self.width,
                parity_source=self.source,
                parity_frames=min(30, self.frames),
                calib=self.source,
                target="tensorrt",
            )
            export_onnx(self.network, path, dataclasses.replace(options, **changes), self.origin)
            self._made[name] = path
        return self._made[name]

    def materials(self) -> dict[str, Path]:
        """The artifacts made so far, as the peers' contest calls them, so that none is made and built twice."""
        return {f"ours {name} tensorrt": path for name, path in self._made.items() if "-" not in name}

    def options(self, **changes: Any) -> Options:
        """Of a backend on this device."""
        return Options(device=self.device, device_api=self.device_api, **changes)

    def open(self, path: Path, **changes: Any) -> Backend:
        """The artifact in the engine that is meant."""
        return open_backend(path, self.backend, self.options(**changes))

    def tensorrt(self, path: Path, **changes: Any) -> TensorRtBackend:
        """The same where only TensorRT will do.

        Raises:
            NotRun: in a rehearsal.
        """
        if self.rehearsal:
            raise NotRun("a rehearsal has no TensorRT")
        opened = self.open(path, **changes)
        assert isinstance(opened, TensorRtBackend)
        return opened

    def reference(self) -> TorchBackend:
        """PyTorch in full float32 on the same device."""
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        return TorchBackend(self.network, self.height, self.width, self.device)

    def pictures(self, count: int, size: tuple[int, int] | None = None) -> list[Pixels]:
        """Frames of the clip, of the network's size unless told otherwise."""
        return parity_frames(self.source, count, *(size or (self.height, self.width)))


def in_turns(one: Callable[[], object], other: Callable[[], object]) -> tuple[float, float]:
    """Median milliseconds of each, of six turns of fifty steps, forth and back."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(6):
        for which in (0, 1) if turn % 2 == 0 else (1, 0):
            taken[which].append(median_ms((one, other)[which], 50))
    return statistics.median(taken[0]), statistics.median(taken[1])


def median_ms(step: Callable[[], object], count: int) -> float:
    """Median milliseconds of a step that is finished when it returns; a tenth of the steps warm up."""
    times = []
    for number in range(count + count // 10 + 1):
        began = time.perf_counter()
        step()
        if number > count // 10:
            times.append((time.perf_counter() - began) * 1e3)
    return sorted(times)[len(times) // 2]
