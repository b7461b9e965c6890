"""The model that ships with the package, so that every command works without an argument."""

from __future__ import annotations

from pathlib import Path

from sal_runtime.errors import ArtifactError

_FOLDER = Path(__file__).parent / "models"
ARTIFACT = _FOLDER / "compact-ema.onnx"
"""The exported default artifact."""
CHECKPOINT = _FOLDER / "compact-ema.safetensors"
"""The weights it was made from."""


def default_model(path: Path = ARTIFACT) -> Path:
    """The default artifact or checkpoint.

    Raises:
        ArtifactError: this installation has none.
    """
    if not path.is_file():
        raise ArtifactError(
            f"this installation carries no default model ({path.name} is missing): name a model, for example one "
            "made by sal-export --config salema30"
        )
    return path
