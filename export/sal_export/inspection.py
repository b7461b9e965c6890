"""The layers of a built engine, as TensorRT's inspector tells them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sal_runtime.backends import Options
from sal_runtime.backends.tensorrt_backend import open_artifact
from sal_runtime.errors import BackendError
from sal_runtime.trt.building import Layer


def engine_layers(engine: Path, device: str = "cuda", device_api: str = "cuda.core") -> list[Layer]:
    """Every layer: its name, what kind it is, what it gives.

    Raises:
        SalError: the engine cannot be loaded here.
    """
    backend = open_artifact(engine, Options(device=device, device_api=device_api))
    try:
        return parse_layers(backend.inspect())
    finally:
        backend.close()


def parse_layers(text: str) -> list[Layer]:
    """The inspector's JSON; an engine that was built without details gives names only.

    Raises:
        BackendError: the text is no such JSON.
    """
    try:
        layers = json.loads(text)["Layers"]
    except (ValueError, KeyError, TypeError) as exc:
        raise BackendError(f"TensorRT's inspector does not answer in its own format ({exc})") from exc
    return [_layer(entry) for entry in layers]


def _layer(entry: Any) -> Layer:
    if not isinstance(entry, dict):
        return Layer(str(entry), "", "")
    outputs = []
    for output in entry.get("Outputs", ()):
        kind = output.get("Format/Datatype") or output.get("Datatype") or ""
        outputs.append(f"{kind} {output.get('Dimensions', '')}".strip())
    return Layer(str(entry.get("Name", "")), str(entry.get("LayerType", "")), ", ".join(outputs))
