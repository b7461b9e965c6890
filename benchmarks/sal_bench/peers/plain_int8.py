"""int8 as a user gets it without us: the plain graph in each engine's own quantiser, on a running network's inputs.

ONNX Runtime's tool writes Q/DQ pairs that both engines read; OpenVINO's own is NNCF, which is taken where it is
installed. Both see the same steps.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sal_runtime.arrays import AnyArray, Pixels
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.errors import MissingDependency

CALIBRATION = 32
"""Frames, evenly over the clip, on which the plain graph is quantised."""


def by_onnxruntime(source: Path, path: Path, clip: Sequence[Pixels]) -> Path:
    """``quantize_static`` with Q/DQ, convolutions only, per channel, MinMax."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    steps = _steps(source, clip)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """One step after the other."""

        def get_next(self) -> dict[str, Any] | None:
            """The next step's inputs; None at the end."""
            return next(steps, None)

    logging.getLogger().setLevel(logging.ERROR)  # its advice to preprocess goes to the root logger
    quantize_static(
        source,
        path,
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
    )
    return path


def by_nncf(source: Path, path: Path, clip: Sequence[Pixels]) -> Path:
    """``nncf.quantize`` as it comes, to OpenVINO's own format; the manifest goes beside it."""
    try:
        nncf, openvino = importlib.import_module("nncf"), importlib.import_module("openvino")
    except ModuleNotFoundError as exc:
        raise MissingDependency(f"{exc.name} is not installed: pip install nncf openvino") from exc
    nncf.set_log_level(logging.ERROR)
    steps = list(_steps(source, clip))
    with contextlib.redirect_stdout(io.StringIO()):  # its progress bars
        model = nncf.quantize(openvino.Core().read_model(str(source)), nncf.Dataset(steps), subset_size=len(steps))
    openvino.save_model(model, str(path))
    path.with_suffix(".json").write_text(read_manifest(source).to_json(), encoding="utf-8")
    return path


def _steps(source: Path, clip: Sequence[Pixels]) -> Iterator[dict[str, AnyArray]]:
    """The inputs of a run over some of the clip's frames, in order, with the state as the network leaves it."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(source), settings, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    manifest = read_manifest(source)
    states: dict[str, AnyArray] = {state.input.name: state.input.zeros(1) for state in manifest.states}
    for number, frame in enumerate(clip[:: max(1, len(clip) // CALIBRATION)][:CALIBRATION]):
        carry = np.array([[manifest.normal_carry if number else 0.0]], np.float32)
        given: dict[str, AnyArray] = {manifest.frame.name: frame[None], manifest.carry.name: carry, **states}
        found = dict(zip(names, session.run(None, given), strict=True))
        states = {state.input.name: found[state.output.name] for state in manifest.states}
        yield given
