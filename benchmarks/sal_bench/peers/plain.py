"""Plain ONNX Runtime and plain OpenVINO: an ordinary session, dictionaries in and out, the state kept by hand."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from sal_runtime.arrays import AnyArray, Floats, Pixels
from sal_runtime.backends.onnx_metadata import read_manifest
from sal_runtime.manifest import Manifest


class PlainStepper:
    """Feeds a function from named inputs to named outputs its own state."""

    def __init__(self, manifest: Manifest, infer: Any, engine: str) -> None:
        """``infer`` takes a dictionary of arrays and returns one."""
        self.engine = engine
        self._manifest, self._infer = manifest, infer
        self._fresh = True
        self._states: dict[str, AnyArray] = {}
        self.restart()

    def step(self, frame: Pixels) -> Floats:
        """See :class:`sal_bench.peers.stepper.Stepper`."""
        manifest = self._manifest
        carry = np.array([[0.0 if self._fresh else manifest.normal_carry]], np.float32)
        self._fresh = False
        found = self._infer({manifest.frame.name: frame[None], manifest.carry.name: carry, **self._states})
        self._states = {state.input.name: found[state.output.name] for state in manifest.states}
        result: Floats = found[manifest.saliency.name][0]
        return result

    def restart(self) -> None:
        """Forget."""
        self._fresh = True
        self._states = {s.input.name: s.input.zeros(1) for s in self._manifest.states}


def open_onnxruntime(path: Path, threads: int | None) -> PlainStepper:
    """``session.run`` on the graph."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    if threads is not None:
        settings.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]

    def infer(feed: dict[str, AnyArray]) -> dict[str, AnyArray]:
        return dict(zip(names, session.run(None, feed), strict=True))

    return PlainStepper(read_manifest(path), infer, f"onnxruntime {onnxruntime.__version__}")


def open_openvino(path: Path, threads: int | None, precision: str | None = None) -> PlainStepper:
    """An infer request on the compiled graph; ``precision`` is OpenVINO's hint, by default its own choice."""
    openvino: Any = importlib.import_module("openvino")  # untyped: the package ships no py.typed
    settings: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
    if precision is not None:
        settings["INFERENCE_PRECISION_HINT"] = precision
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = threads
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(str(path)), "CPU", settings)
    request = compiled.create_infer_request()
    names = [output.get_any_name() for output in compiled.outputs]

    def infer(feed: dict[str, AnyArray]) -> dict[str, AnyArray]:
        found = request.infer(feed)
        return {name: found[number] for number, name in enumerate(names)}

    used = compiled.get_property("INFERENCE_PRECISION_HINT")
    told = used.to_string() if hasattr(used, "to_string") else str(used)
    version = openvino.__version__.split("-")[0]
    ir = path.suffix == ".xml"  # OpenVINO's own format has no room for a manifest
    manifest = Manifest.from_json(path.with_suffix(".json").read_text("utf-8")) if ir else read_manifest(path)
    return PlainStepper(manifest, infer, f"openvino {version}, computing in {told}")
