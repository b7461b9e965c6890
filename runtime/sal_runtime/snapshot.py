"""A session's state as a value that can be kept in a file, so that a stream goes on after a restart of the process."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sal_runtime.arrays import Floats
from sal_runtime.atomic import aside
from sal_runtime.cuts import Shot
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
        [(r.kind, r.index) for r in manifest.recurrences],
        manifest.frame.shape[1:],
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass
class Slot:
    """What a slot remembers of its last frame, beside the state."""

    timestamp: float | None = None
    """Seconds, on the source's clock."""
    size: tuple[int, int] | None = None
    """Height and width."""
    restart: str | None = "start"
    """Why the next frame starts anew, or None."""
    shot: Shot | None = None
    """What cuts are told by."""


@dataclass(frozen=True)
class Snapshot:
    """Recurrent state and clocks of one session."""

    model: str
    """From :func:`model_identity`."""
    states: Sequence[Floats]
    """float32 [B, C, h, w] each, in the manifest's order."""
    slots: Sequence[Slot]
    """One a slot."""

    def save(self, path: str | os.PathLike[str], exist_ok: bool = True) -> None:
        """Write the snapshot as an ``.npz``, whole or not at all.

        Raises:
            OutputError: the file exists and is to be kept, or cannot be written.
        """
        arrays: dict[str, Any] = {f"state{i}": state for i, state in enumerate(self.states)}
        slots = []
        for index, slot in enumerate(self.slots):
            slots.append({"timestamp": slot.timestamp, "size": slot.size, "restart": slot.restart})
            if slot.shot is not None:
                arrays[f"shot{index}"] = slot.shot.thumbnail
                slots[-1]["usual"] = slot.shot.usual
        with aside(Path(path), exist_ok) as partial, partial.open("wb") as file:
            np.savez(file, header=json.dumps({"model": self.model, "slots": slots}), **arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Snapshot:
        """Read a snapshot.

        Raises:
            StateError: the file is absent or is no snapshot.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                header = json.loads(str(file["header"]))
                states = [file[f"state{i}"] for i in range(sum(name.startswith("state") for name in file.files))]
                slots = []
                for index, slot in enumerate(header["slots"]):
                    shot = Shot(file[f"shot{index}"], slot["usual"]) if f"shot{index}" in file.files else None
                    size = None if slot["size"] is None else (int(slot["size"][0]), int(slot["size"][1]))
                    slots.append(Slot(slot["timestamp"], size, slot["restart"], shot))
                return cls(str(header["model"]), states, slots)
        except FileNotFoundError as exc:
            raise StateError(f"{path}: there is no such file; --save-state makes one") from exc
        except (
            OSError, EOFError, ValueError, KeyError, IndexError, TypeError, AttributeError, zipfile.BadZipFile,
        ) as exc:  # fmt: skip
            raise StateError(f"{path}: not a state that --save-state kept, or damaged") from exc

    def check(self, manifest: Manifest, batch: int) -> None:
        """Hold the snapshot against a model.

        Raises:
            StateError: of another model or batch, or not finite.
        """
        if self.model != model_identity(manifest):
            raise StateError(f"the snapshot is of another model than this {manifest.model}")
        expected = [state.input.sized(batch) for state in manifest.states]
        if [state.shape for state in self.states] != expected or len(self.slots) != batch:
            raise StateError(f"the snapshot's states are {[s.shape for s in self.states]}, this session's {expected}")
        if not all(np.isfinite(state).all() for state in self.states):
            raise StateError("the snapshot's state is not finite")
