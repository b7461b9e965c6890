"""A checkpoint or an artifact, opened so that nothing after this needs to know which it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sal_runtime.backends import Backend
from sal_runtime.bundled import default_model
from sal_runtime.console import needs_extra
from sal_runtime.engine import Engine
from sal_runtime.errors import BackendError, InputError
from sal_runtime.manifest import Manifest
from sal_runtime.snapshot import model_identity

WEIGHTS = (".safetensors", ".pt", ".pth")
"""Suffixes of checkpoints; anything else is opened as an artifact."""

SIZE = (192, 256)
"""Height and width at which a checkpoint runs unless told otherwise: the paper's."""


@dataclass(frozen=True)
class Model:
    """What is evaluated."""

    engine: Engine
    """Runs it; whoever opened the model closes this."""
    file: str
    """Name of the file it came from."""
    kind: str
    """``checkpoint`` or ``artifact``."""
    origin: dict[str, Any] = field(default_factory=dict)
    """What else there is to say of the weights."""

    @property
    def manifest(self) -> Manifest:
        """Its contract."""
        return self.engine.manifest

    def record(self) -> dict[str, Any]:
        """What a file of results says of the model: enough to know it again."""
        manifest = self.manifest
        return {
            "name": manifest.model,
            "file": self.file,
            "kind": self.kind,
            "engine": self.engine.name,
            "precision": manifest.precision,
            "imgsz": [manifest.height, manifest.width],
            "identity": model_identity(manifest),
            "weights_sha256": manifest.provenance.get("weights_sha256"),
            "recurrences": [
                {"kind": r.kind, "index": r.index, "alpha": r.alpha, "raw_alpha": r.raw_alpha}
                for r in manifest.recurrences
            ],
            "reference_fps": manifest.reference_fps,
            "random_weights": manifest.random_weights,
            **self.origin,
        }


def open_model(
    path: Path | None = None,
    *,
    config: str | None = None,
    imgsz: tuple[int, int] | None = None,
    backend: str = "auto",
    device: str = "cpu",
    threads: int | None = None,
) -> Model:
    """Open a model for evaluation.

    Args:
        path: a checkpoint (``.safetensors`` or a released ``.pt``), or an artifact; None for the one that ships.
        config: of a checkpoint: the configuration its weights are put into (see ``load_weights``).
        imgsz: of a checkpoint: height and width of a frame, by default :data:`SIZE`.
        backend: of an artifact: the engine's name.
        device: ``cpu``, or what the engine knows.
        threads: of the engine on a CPU; None for its own choice.

    Raises:
        ArtifactError, CheckpointError, BackendError: the file cannot be used or was refused.
        InputError: an option that does not belong to this kind of file.
        MissingDependency: a checkpoint and no torch.
    """
    path = path or default_model()
    if path.suffix.lower() in WEIGHTS:
        if backend != "auto":
            raise InputError(f"{path}: a checkpoint runs in PyTorch; --backend {backend} is for artifacts")
        network, origin = _torch_backend(path, config, imgsz or SIZE, device, threads)
        return Model(Engine(network), path.name, "checkpoint", origin)
    for option, value in (("config", config), ("imgsz", imgsz)):
        if value is not None:
            raise InputError(f"{path}: an artifact has its own configuration and size; --{option} is for checkpoints")
    return Model(Engine.open(path, backend=backend, device=device, threads=threads), path.name, "artifact")


def _torch_backend(
    path: Path, config: str | None, size: tuple[int, int], device: str, threads: int | None
) -> tuple[Backend, dict[str, Any]]:
    """A checkpoint as a backend. Torch is imported here and nowhere else."""
    with needs_extra("train"):
        import torch

        from sal_train.torch_backend import TorchBackend
        from sal_train.weights import load_weights
    network, origin = load_weights(path, config)
    if threads is not None:
        torch.set_num_threads(threads)
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as exc:
        reason = str(exc).splitlines()[0]
        raise BackendError(f"PyTorch cannot run on the device {device!r} ({reason}); take another --device") from exc
    return TorchBackend(network, *size, device), {k: v for k, v in origin.items() if k != "checkpoint"}
