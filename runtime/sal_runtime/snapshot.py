"""A session's state as a value that can be kept in a file, so that a stream goes on after a restart of the process."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sal_runtime.arrays import Floats
from sal_runtime.atomic import aside
from sal_runtime.errors import StateError
from sal_runtime.manifest import Manifest


def model_identity(manifest: Manifest) -> str:
    """A short hash of what makes two artifacts share a state: the weights' hash, the states and the recurrences.

    Precision is left out: an fp32 state may be taken up by the fp16 artifact of the same checkpoint.
    """
    told = [
        manifest.model,
        manifest.provenance.get("weights_sha256"),
        [(s.input.name, s.input.shape[1:]) for s in manifest.states],
        manifest.frame.shape[1:],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Snapshot:
    """Recurrent state and clocks of one session."""

    model: str
    """From :func:`model_identity`."""
    states: Sequence[Floats]
    """float32 [B, C, h, w] each, in the manifest's order."""
    timestamps: Sequence[float | None]
    """Seconds of the last frame, a slot each."""
    sizes: Sequence[tuple[int, int] | None]
    """Height and width of the last frame, a slot each."""
    restarts: Sequence[str | None]
    """Why the next frame starts anew, or None."""

    def save(self, path: Path) -> None:
        """Write the snapshot as an ``.npz``, whole or not at all.

        Raises:
            OutputError: the file cannot be written.
        """
        header = {key: getattr(self, key) for key in ("model", "timestamps", "sizes", "restarts")}
        with aside(path, exist_ok=True) as partial, partial.open("wb") as file:
            arrays: dict[str, Any] = {f"state{i}": state for i, state in enumerate(self.states)}
            np.savez(file, header=json.dumps(header), **arrays)

    @classmethod
    def load(cls, path: Path) -> Snapshot:
        """Read a snapshot.

        Raises:
            StateError: the file is absent or is no snapshot.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                states = [file[f"state{i}"] for i in range(len(file.files) - 1)]
                sizes = [None if size is None else (int(size[0]), int(size[1])) for size in header["sizes"]]
                return cls(header["model"], states, header["timestamps"], sizes, header["restarts"])
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as exc:
            raise StateError(f"{path}: not a snapshot of a session ({exc})") from exc

    def check(self, manifest: Manifest, batch: int) -> None:
        """Hold the snapshot against a model.

        Raises:
            StateError: of another model or batch, or not finite.
        """
        if self.model != model_identity(manifest):
            raise StateError(f"the snapshot is of another model than this {manifest.model}")
        expected = [state.input.sized(batch) for state in manifest.states]
        if [state.shape for state in self.states] != expected:
            raise StateError(f"the snapshot's states are {[s.shape for s in self.states]}, this session's {expected}")
        if not all(np.isfinite(state).all() for state in self.states):
            raise StateError("the snapshot's state is not finite")
