"""What the contestants run, made once from one network: the checkpoint, the plain graphs, our artifacts.

A thing that cannot be made keeps away those who need it, with the reason; the others run.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sal_bench.peers.worker import sentence
from sal_export.pipeline import ExportOptions, export_onnx
from sal_runtime.arrays import Pixels
from sal_runtime.manifest import Manifest
from sal_train.checkpoint import save_checkpoint
from sal_train.models import RecurrentNetwork

CALIBRATION = 32
"""Frames, evenly over the clip, on which the plain graph is quantised."""


class Material:
    """Files in one folder, made when first asked for."""

    def __init__(
        self,
        network: RecurrentNetwork,
        origin: dict[str, object],
        options: ExportOptions,
        clip: list[Pixels],
        folder: Path,
    ) -> None:
        """``options`` carry size, opset, and how our artifacts are checked; precision and fold are set here."""
        self._network, self._origin, self._options = network, origin, options
        self._clip, self._folder = clip, folder
        self._made: dict[str, Path | str] = {}
        self.manifests: dict[str, Manifest] = {}
        """Of our artifacts, by name."""
        self.frames = folder / "frames.npy"
        np.save(self.frames, np.stack(clip))

    def get(self, name: str) -> Path:
        """The file of that name.

        Raises:
            Unmade: it cannot be made; the text says why.
        """
        if name not in self._made:
            makers: dict[str, Callable[[], Path]] = {
                "network": self._checkpoint,
                "unfolded": lambda: self._export("unfolded", precision="fp32", fold="none"),
                "unfolded-int8": self._quantise,
                "ours-fp32": lambda: self._export("ours-fp32", precision="fp32"),
                "ours-int8": lambda: self._export("ours-int8", precision="int8"),
            }
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
        path = self._folder / f"{name}.onnx"
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

    def _quantise(self) -> Path:
        """The plain graph as ONNX Runtime's own tool quantises it, on inputs that a running network meets."""
        import onnxruntime
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

        source, path = self.get("unfolded"), self._folder / "unfolded-int8.onnx"
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        session = onnxruntime.InferenceSession(str(source), settings, providers=["CPUExecutionProvider"])
        logging.getLogger().setLevel(logging.ERROR)  # its advice to preprocess goes to the root logger
        chosen = self._clip[:: max(1, len(self._clip) // CALIBRATION)][:CALIBRATION]
        quantize_static(
            source,
            path,
            _trajectory(session, self.manifests["unfolded"], chosen),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["Conv"],
        )
        return path


class Unmade(Exception):  # noqa: N818 - reads as what it is
    """A file that could not be made; the text says why."""


def _trajectory(session: Any, manifest: Manifest, frames: Sequence[Pixels]) -> Any:
    """A calibration reader: the frames in order with the state as the network leaves it."""
    from onnxruntime.quantization import CalibrationDataReader

    names = [output.name for output in session.get_outputs()]

    class Trajectory(CalibrationDataReader):  # type: ignore[misc]
        """Steps the fp32 graph as it is asked for inputs."""

        def __init__(self) -> None:
            self._left = list(frames)
            self._states = {state.input.name: state.input.zeros(1) for state in manifest.states}
            self._carry = 0.0

        def get_next(self) -> dict[str, Any] | None:
            """The next frame's inputs; None at the end."""
            if not self._left:
                return None
            carry = np.array([[self._carry]], np.float32)
            given = {manifest.frame.name: self._left.pop(0)[None], manifest.carry.name: carry, **self._states}
            found = dict(zip(names, session.run(None, given), strict=True))
            self._states = {state.input.name: found[state.output.name] for state in manifest.states}
            self._carry = manifest.normal_carry
            return given

    return Trajectory()
