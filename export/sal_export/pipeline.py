"""Checkpoint to artifact: load, fold, convert, trace, prove, write. A file appears only if it was proved."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
from collections.abc import Callable
from pathlib import Path

import onnx
import torch

from sal_export import step_graph
from sal_export.float8 import OPSET as FLOAT8_OPSET
from sal_export.fold import fold_batch_norm, fold_upsampling, is_foldable
from sal_export.fold_choice import choose_fold
from sal_export.half import activation_peaks, rescale, to_half
from sal_export.options import PRECISIONS, TARGETS, ExportOptions, for_tensorrt
from sal_export.parity import Parity, check_parity, parity_frames, require_parity, sized
from sal_export.quantise import describe_quantisation, quantise
from sal_export.trajectories import replay
from sal_runtime import atomic
from sal_runtime.arrays import Pixels
from sal_runtime.errors import InputError
from sal_runtime.manifest import Manifest
from sal_runtime.sources import public_name
from sal_train.contract import describe
from sal_train.models import RecurrentNetwork, SalNetwork, build_network, named_config
from sal_train.torch_backend import TorchBackend
from sal_train.weights import load_weights

_RANGE_FRAMES = 16
"""Frames on which activations are measured against fp16's range."""


def load_network(
    checkpoint: Path | None, config: str | None, seed: int = 0
) -> tuple[RecurrentNetwork, dict[str, object]]:
    """The network to export and what to say of its origin.

    Args:
        checkpoint: ``.safetensors`` of sal-train or a released ``.pt``; None draws random weights for ``config``.
        config: needed without a checkpoint, and for a ``.pt`` that does not tell; puts a ``.safetensors`` into another
            configuration that takes the same tensors.
        seed: of random weights.

    Raises:
        CheckpointError: the file cannot be used, or its tensors do not fit the configuration.
        InputError: neither file nor configuration.
    """
    if checkpoint is None:
        if config is None:
            raise InputError("name a checkpoint, or --config for a network with random weights")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return build_network(named_config(config)).eval(), {"random_weights": True, "seed": seed}
    return load_weights(checkpoint, config)


def planned(network: RecurrentNetwork, options: ExportOptions, provenance: dict[str, object] | None = None) -> Manifest:
    """The manifest of an export to be.

    Raises:
        InputError: a size or batch that cannot be.
    """
    return describe(
        network,
        options.precision,
        options.height,
        options.width,
        options.batch,
        provenance or {},
        options.device_resize,
    )


def export_onnx(
    network: RecurrentNetwork,
    path: Path,
    options: ExportOptions,
    origin: dict[str, object] | None = None,
    on_stage: Callable[[str], None] = lambda stage: None,
    on_frame: Callable[[], None] = lambda: None,
) -> tuple[Manifest, Parity]:
    """Export ``network`` to ``path`` and prove the artifact against it.

    Args:
        network: in float32.
        path: the ``.onnx`` to be.
        options: precision, size and so on.
        origin: of the weights, for the manifest.
        on_stage: told what is under way.
        on_frame: told after each frame of the check.

    Raises:
        InputError: a size, precision or batch that cannot be.
        OutputError: the file exists or cannot be written.
        ParityError: the artifact is outside the tolerance; nothing is left behind.
    """
    if options.precision not in PRECISIONS:
        raise InputError(f"there is no precision {options.precision!r}; choose from {', '.join(PRECISIONS)}")
    if options.parity_frames < 1:
        raise InputError("the check needs at least one frame")
    if options.target not in TARGETS:
        raise InputError(f"there is no target {options.target!r}; choose from {', '.join(TARGETS)}")
    if options.precision == "fp8":
        if not for_tensorrt(options.target):
            raise InputError("fp8 is for TensorRT on a GPU that has it: --target tensorrt, or --format engine")
        options = dataclasses.replace(options, opset=max(options.opset, FLOAT8_OPSET))
    versions = _versions("sal-edge", "torch", "onnx", "onnxscript")
    options, reason = _settle_fold(network, options)
    told = {**(origin or {}), "fold": options.fold, "opset": options.opset, "versions": versions}
    if reason:
        told["fold_reason"] = reason
    size = (options.height, options.width)
    manifest = planned(network, options, told)
    with atomic.aside(path, options.exist_ok) as partial:
        on_stage("reading frames")
        frames = parity_frames(options.parity_source, options.parity_frames, *manifest.frame_size)
        on_stage("tracing")
        converted, scales = _convert(network, options, [sized(frame[None], size)[0] for frame in frames])
        if scales:
            manifest.provenance["range_exponents"] = {str(layer): exponent for layer, exponent in scales.items()}
        model = step_graph.trace(converted, manifest, options.opset)
        onnx.save(model, str(partial))
        if options.precision in ("int8", "fp8"):
            model = _quantise(model, partial, manifest, options, on_stage)
        on_stage("checking")
        parity = check_parity(
            TorchBackend(network, *size),
            partial,
            frames,
            public_name(options.parity_source),
            backend=options.parity_backend or _runner(options.target),
            on_frame=on_frame,
        )
        require_parity(parity, path.name)
        manifest = dataclasses.replace(manifest, parity=parity.to_dict())
        step_graph.attach(model, manifest)
        onnx.save(model, str(partial))
    return manifest, parity


def _runner(target: str) -> str:
    """The backend that proves an artifact for a target."""
    meant = target.startswith("openvino") and importlib.util.find_spec("openvino") is not None
    return "openvino" if meant else "onnxruntime"


def _versions(*names: str) -> dict[str, str]:
    """Those that are installed; a checkout may be run as it lies."""
    found = {}
    for name in names:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def _settle_fold(network: RecurrentNetwork, options: ExportOptions) -> tuple[ExportOptions, str]:
    """The options with ``auto`` folding replaced by a form, and why that one."""
    if options.fold != "auto":
        return options, ""
    if not is_foldable(network):
        return dataclasses.replace(options, fold="none"), "there is nothing to fold"
    form, reason = choose_fold(network.config.architecture, options.precision, options.target)
    return dataclasses.replace(options, fold=form), reason


def _quantise(
    model: onnx.ModelProto, partial: Path, manifest: Manifest, options: ExportOptions, on_stage: Callable[[str], None]
) -> onnx.ModelProto:
    """The float model at ``partial`` replaced by its int8 form, and the manifest told of it."""
    symmetric, mirrored = for_tensorrt(options.target), options.calib == options.parity_source
    float8 = options.precision == "fp8"
    on_stage("replaying clips")
    seen = replay(partial, options.calib, options.calib_frames, mirrored)
    on_stage("quantising")
    model = quantise(model, partial, seen, symmetric, options.quant_exclude, float8)
    manifest.provenance["quantisation"] = describe_quantisation(
        public_name(options.calib), mirrored, seen, symmetric, options.quant_exclude, float8
    )
    step_graph.attach(model, manifest)
    onnx.save(model, str(partial))
    return model


def _convert(
    network: RecurrentNetwork, options: ExportOptions, frames: list[Pixels]
) -> tuple[RecurrentNetwork, dict[int, int]]:
    """The network as it is traced: within fp16's range if that is wanted, folded, in its precision."""
    scales: dict[int, int] = {}
    converted = fold_batch_norm(network)
    if options.precision == "fp16" and isinstance(converted, SalNetwork):
        chosen = frames[:: max(1, len(frames) // _RANGE_FRAMES)]
        scales = rescale(converted, activation_peaks(converted, (torch.from_numpy(f)[None] for f in chosen)))
    assert options.fold != "auto"
    converted = fold_upsampling(converted, options.fold)
    return (to_half(converted) if options.precision == "fp16" else converted), scales
