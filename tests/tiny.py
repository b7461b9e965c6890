"""Artifacts and clips so small that what must come out can be worked out on paper."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from sal_runtime.arrays import Pixels
from sal_runtime.manifest import METADATA_KEY, Manifest, Recurrence, StateSpec, TensorSpec
from sal_runtime.vision import cv2

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real clips and photographs, where a checkout has them beside it."""

HEIGHT, WIDTH = 16, 32


def ema_manifest(alpha: float = 0.5, batch: int = 1, height: int = HEIGHT, width: int = WIDTH) -> Manifest:
    """The manifest of :func:`write_ema_artifact`; a batch of -1 is any."""
    state = (batch, 1, height, width)
    return Manifest(
        model="tiny-ema",
        precision="fp32",
        frame=TensorSpec("frame", "uint8", (batch, height, width, 3)),
        carry=TensorSpec("carry", "float32", (batch, 1)),
        saliency=TensorSpec("saliency", "float32", (batch, height, width)),
        states=(StateSpec(TensorSpec("memory", "float32", state), TensorSpec("after", "float32", state)),),
        recurrences=(Recurrence("ema", 0, alpha),),
        reference_fps=30.0,
        pixel_mean=(0.0, 0.0, 0.0),
    )


def write_ema_artifact(
    path: Path,
    alpha: float = 0.5,
    batch: int = 1,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    manifest: str | None = "",
    poison: bool = False,
    **changes: Any,
) -> Manifest:
    """One EMA over the mean brightness of each pixel, 0 to 1; the map is the state.

    Args:
        path: of the ``.onnx``.
        alpha: of the EMA.
        batch: fixed, or -1 for any.
        size: height and width.
        manifest: another text in place of the manifest, or None for none at all.
        poison: add the logarithm of brightness: a black pixel makes the state infinite.
        changes: fields to replace in the manifest.

    Returns:
        the manifest as it should be, with ``changes``.
    """
    told = dataclasses.replace(ema_manifest(alpha, batch, *size), **changes)
    free = "batch" if batch < 0 else batch
    height, width = size

    def tensor(name: str, kind: int, *shape: Any) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [free, *shape])

    def constant(name: str, values: Any, kind: Any) -> onnx.TensorProto:
        return onnx.numpy_helper.from_array(np.array(values, kind), name)

    log = [helper.make_node("Log", ["grey"], ["log"]), helper.make_node("Add", ["grey", "log"], ["seen"])]
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["frame"], ["float"], to=TensorProto.FLOAT),
            helper.make_node("Mul", ["float", "scale"], ["scaled"]),
            helper.make_node("ReduceMean", ["scaled", "channels"], ["brightness"], keepdims=1),
            helper.make_node("Transpose", ["brightness"], ["grey"], perm=[0, 3, 1, 2]),
            *(log if poison else [helper.make_node("Identity", ["grey"], ["seen"])]),
            helper.make_node("Reshape", ["carry", "carry_shape"], ["share"]),
            helper.make_node("Sub", ["one", "share"], ["rest"]),
            helper.make_node("Mul", ["rest", "seen"], ["new"]),
            helper.make_node("Mul", ["share", "memory"], ["old"]),
            helper.make_node("Add", ["new", "old"], ["after"]),
            helper.make_node("Squeeze", ["after", "one_axis"], ["saliency"]),
        ],
        "tiny",
        [
            tensor("frame", TensorProto.UINT8, height, width, 3),
            tensor("carry", TensorProto.FLOAT, 1),
            tensor("memory", TensorProto.FLOAT, 1, height, width),
        ],
        [tensor("saliency", TensorProto.FLOAT, height, width), tensor("after", TensorProto.FLOAT, 1, height, width)],
        [
            constant("scale", 1.0 / 255.0, np.float32),
            constant("one", 1.0, np.float32),
            constant("channels", [3], np.int64),
            constant("one_axis", [1], np.int64),
            constant("carry_shape", [-1, 1, 1, 1], np.int64),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if manifest is not None:
        helper.set_model_props(model, {METADATA_KEY: manifest or told.to_json()})
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(path))
    return told


def grey(value: int, height: int = HEIGHT, width: int = WIDTH) -> Pixels:
    """A frame of one brightness, 0 to 255."""
    return np.full((height, width, 3), value, np.uint8)


def write_clip(path: Path, frames: int = 12, fps: float = 12.5, size: tuple[int, int] = (64, 48)) -> Path:
    """A video whose frame i has brightness 20 * i (modulo 256), so that order shows; ``size`` is width, height."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*"MJPG"), fps, size)
    assert writer.isOpened()
    for index in range(frames):
        writer.write(grey(20 * index % 256, size[1], size[0]))
    writer.release()
    return path
