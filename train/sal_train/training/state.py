"""What a resumed training needs: weights, averages, the optimisers' moments, the recurrent state, and where it was.

Chance needs no place in it: whatever is drawn is a function of the seed and the step.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sal_runtime.atomic import aside
from sal_runtime.errors import TrainingError

FILE = "state.pt"


@dataclass
class Progress:
    """Where a training is."""

    step: int = 0
    """Optimiser steps done."""
    epoch: int = 0
    """The epoch under way, from 0."""
    batch: int = 0
    """Batches of it done."""


def save_state(folder: Path, progress: Progress, parts: dict[str, Any], recipe: dict[str, Any]) -> None:
    """Write the state, whole or not at all; the one before stays until then.

    Args:
        folder: of the run.
        progress: where the training is.
        parts: ``state_dict``-like values by name.
        recipe: what is being trained; a resumed run must be told the same.
    """
    with aside(folder / FILE, exist_ok=True) as partial:
        torch.save({"progress": vars(progress), "recipe": recipe, **parts}, partial)


def load_state(folder: Path, recipe: dict[str, Any]) -> tuple[Progress, dict[str, Any]] | None:
    """The state of a run, or None where there is none yet.

    Raises:
        TrainingError: it is damaged, or of another recipe.
    """
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        parts = torch.load(path, map_location="cpu", weights_only=True)
        progress = Progress(**parts.pop("progress"))
        before = parts.pop("recipe")
    except Exception as exc:  # torch raises whatever the file provokes
        raise TrainingError(f"{path}: is damaged; remove it to begin again") from exc
    differing = sorted(key for key in {*before, *recipe} if before.get(key) != recipe.get(key))
    if differing:
        raise TrainingError(
            f"{folder}: holds a run whose recipe differs in {', '.join(differing)}; choose another --out, or "
            "--exist-ok to begin again"
        )
    return progress, parts
