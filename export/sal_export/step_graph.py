"""A network's step as an ONNX graph: the contract of :mod:`sal_runtime.manifest`, made.

The graph is checked by onnx and carries its manifest. That it computes the right thing is for :mod:`sal_export.parity`
to show.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings

import onnx
import torch
from torch import Tensor, nn

from sal_export.area import AreaResize
from sal_export.options import OPSET
from sal_runtime.errors import InputError
from sal_runtime.manifest import METADATA_KEY, Manifest
from sal_train.models import RecurrentNetwork


def trace(network: RecurrentNetwork, manifest: Manifest, opset: int = OPSET) -> onnx.ModelProto:
    """Trace the step of ``network``, folded and converted as it is to be, into a checked ONNX model."""
    batch = manifest.batch or 2
    states = [torch.from_numpy(state.input.zeros(batch)) for state in manifest.states]
    inputs = (torch.zeros(manifest.frame.sized(batch), dtype=torch.uint8), torch.ones(batch, 1), *states)
    free = {0: torch.export.Dim("batch")} if manifest.batch is None else {}
    with _quietly():
        program = torch.onnx.export(
            _Step(network, AreaResize(manifest) if manifest.resizes else None).eval(),
            inputs,
            input_names=["frame", "carry", *(s.input.name for s in manifest.states)],
            output_names=["saliency", *(s.output.name for s in manifest.states)],
            dynamic_shapes=(free, free, tuple(free for _ in states)) if states else (free, free),
            opset_version=opset,
            dynamo=True,
            external_data=False,
            optimize=True,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    written = max(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if written != opset:
        raise InputError(
            f"the operator set {opset} cannot be written, this PyTorch gives {written}; take that for --opset"
        )
    model.producer_name = "sal-edge"
    _forget_origin(model)
    attach(model, manifest)
    onnx.checker.check_model(model, full_check=True)
    return model


def attach(model: onnx.ModelProto, manifest: Manifest) -> None:
    """Write the manifest into the model, in place of one that was there."""
    kept = [(p.key, p.value) for p in model.metadata_props if p.key != METADATA_KEY]
    onnx.helper.set_model_props(model, {**dict(kept), METADATA_KEY: manifest.to_json()})


def _forget_origin(model: onnx.ModelProto) -> None:
    """Remove what the tracer notes of source files: an artifact does not tell whose disk it came from."""
    graph = model.graph
    for part in (graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


class _Step(nn.Module):
    """The network with ``step`` as its forward, which is what the tracer calls."""

    def __init__(self, network: RecurrentNetwork, resize: AreaResize | None) -> None:
        super().__init__()
        self.network, self.resize = network, resize

    def forward(self, frame: Tensor, carry: Tensor, *states: Tensor) -> tuple[Tensor, ...]:
        small = frame if self.resize is None else self.resize(frame)
        return self.network.step(small, carry, *states)


@contextlib.contextmanager
def _quietly():  # type: ignore[no-untyped-def]
    """Keep the tracer's progress and its notes on its own internals away from the user; what fails is said by us."""
    loggers = [logging.getLogger("torch.onnx"), logging.getLogger("onnxscript")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
