"""What the contestants run, made once from one network: the checkpoint, the plain graphs, our artifacts.

A thing that cannot be made keeps away those who need it, with the reason; the others run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from sal_bench.peers.plain_int8 import by_nncf, by_onnxruntime
from sal_bench.peers.worker import sentence
from sal_export.options import ExportOptions
from sal_export.pipeline import export_onnx
from sal_runtime.arrays import Pixels
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.manifest import Manifest
from sal_train.checkpoint import save_checkpoint
from sal_train.models import RecurrentNetwork


class Material:
    """Files in one folder, made when first asked for."""

    def __init__(
        self,
        network: RecurrentNetwork,
        origin: dict[str, object],
        options: ExportOptions,
        clip: list[Pixels],
        folder: Path,
        given: Mapping[str, Path] | None = None,
    ) -> None:
        """``options`` carry size, opset, and how our artifacts are checked; precision and fold are set here.

        ``given`` are artifacts of ours, by name, that were made before, with the same options.
        """
        self._network, self._origin, self._options = network, origin, options
        self._clip, self._folder = clip, folder
        self._made: dict[str, Path | str] = dict(given or {})
        self.manifests: dict[str, Manifest] = {name: read_manifest(path) for name, path in (given or {}).items()}
        """Of our artifacts, by name."""
        self.frames = folder / "frames.npy"
        np.save(self.frames, np.stack(clip))

    def get(self, name: str) -> Path:
        """The file of that name.

        Raises:
            Unmade: it cannot be made; the text says why.
        """
        folder = self._folder
        if name not in self._made:
            makers: dict[str, Callable[[], Path]] = {
                "network": self._checkpoint,
                "unfolded": lambda: self._export("unfolded", precision="fp32", fold="none"),
                "unfolded-int8": lambda: by_onnxruntime(
                    self.get("unfolded"), folder / "unfolded-int8.onnx", self._clip
                ),
                "unfolded-nncf": lambda: by_nncf(self.get("unfolded"), folder / "unfolded-nncf.xml", self._clip),
            }
            if name.startswith("ours "):
                _, precision, target = name.split()
                makers[name] = lambda: self._export(name, precision=precision, target=target)
            try:
                self._made[name] = makers[name]()
            except Exception as exc:  # a vendor's tool or an absent package: told in the report
                self._made[name] = sentence(exc).replace(f"{self._folder}/", "")
        made = self._made[name]
        if isinstance(made, str):
            raise Unmade(made)
        return made

    def _checkpoint(self) -> Path:
        path = self._folder / "network.safetensors"
        save_checkpoint(self._network, path)
        return path

    def _export(self, name: str, **changes: Any) -> Path:
        path = self._folder / f"{name.replace(' ', '-')}.onnx"
        # From the fields, not by dataclasses.replace: what is not named keeps the exporter's default for the precision.
        options = ExportOptions(
            **{
                **changes,
                "height": self._options.height,
                "width": self._options.width,
                "parity_source": self._options.parity_source,
                "parity_frames": self._options.parity_frames,
                "calib": self._options.calib,
            }
        )
        self.manifests[name], _ = export_onnx(self._network, path, options, self._origin)
        return path


class Unmade(Exception):  # noqa: N818 - reads as what it is
    """A file that could not be made; the text says why."""
