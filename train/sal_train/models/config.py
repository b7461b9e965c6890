"""The configurations of the paper's tables 1 to 4, and the compact ones, as data.

SalBCE, SalEMA and SalCLSTM are one network with recurrences at different places; a row of a table is a value of
:class:`NetworkConfig`, never a class of its own.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any, Literal

from sal_runtime.errors import CheckpointError, InputError

PAPER_FPS = 30.0
"""Frame rate of the paper's training data (section 4), at which its alphas are meant."""


@dataclass(frozen=True)
class RecurrenceConfig:
    """One recurrence and where it stands."""

    kind: Literal["ema", "convlstm"]
    """``ema`` (eq. 6 or 8) averages the output of its layer; ``convlstm`` (eq. 1 to 5) stands before its layer."""
    index: int
    """The layer, in the paper's numbering of the flat sequence (0 to 61)."""
    alpha: float = 0.1
    """An EMA's share of the present frame (eq. 6); where learnt, its value at the start of training."""
    learnt: bool = False
    """Whether alpha = sigmoid(p) with p trained (eq. 8)."""
    dropout: float = 0.0
    """Probability of dropping a channel of the layer's input in training (section 5); never active in evaluation."""
    residual: bool = False
    """Whether the layer's input is added to the average, so that a scene change can pass by it (section 5)."""
    peephole: bool = False
    """Whether a ConvLSTM's gates see the cell (the W∘C terms of eq. 1 to 3); the released code leaves them out."""


@dataclass(frozen=True)
class NetworkConfig:
    """One row of the paper's tables."""

    name: str
    """The name on the command line."""
    recurrences: tuple[RecurrenceConfig, ...] = ()
    """In the order of their layers; none for SalBCE."""
    architecture: Literal["salgan", "compact"] = "salgan"
    """``salgan``: the paper's 62 layers; ``compact``: the small network, whose one recurrence stands at its stage 5."""
    width: float = 1.0
    """Factor on every layer's channels; 1 is the paper's, less is for tests."""
    reference_fps: float = PAPER_FPS
    """Frames a second at which alpha is meant."""

    def to_json(self) -> str:
        """The configuration as JSON, for a checkpoint's metadata."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str, where: str) -> NetworkConfig:
        """Read a configuration; ``where`` names the file in messages.

        Raises:
            CheckpointError: not the JSON of a configuration.
        """
        try:
            raw: dict[str, Any] = json.loads(text)
            recurrences = tuple(RecurrenceConfig(**entry) for entry in raw.pop("recurrences"))
            return cls(recurrences=recurrences, **raw)
        except (ValueError, TypeError, KeyError, AttributeError) as exc:
            raise CheckpointError(f"{where}: its configuration cannot be read ({exc})") from exc


def _ema(index: int, alpha: float = 0.1, **options: Any) -> RecurrenceConfig:
    return RecurrenceConfig("ema", index, alpha, **options)


CONFIGS: dict[str, NetworkConfig] = {
    config.name: config
    for config in (
        NetworkConfig("salbce"),
        NetworkConfig("salema30", (_ema(30),)),
        NetworkConfig("salema30-dropout", (_ema(30, dropout=0.5),)),
        NetworkConfig("salema30-residual", (_ema(30, residual=True),)),
        NetworkConfig("salema30-learnt", (_ema(30, alpha=0.5, learnt=True),)),
        NetworkConfig("salema61", (_ema(61),)),
        NetworkConfig("salema54", (_ema(54),)),
        NetworkConfig("salema7", (_ema(7),)),
        NetworkConfig("salema7-54", (_ema(7, alpha=0.3), _ema(54, alpha=0.3))),
        NetworkConfig("salclstm30", (RecurrenceConfig("convlstm", 30),)),
        NetworkConfig("salclstm30-peephole", (RecurrenceConfig("convlstm", 30, peephole=True),)),
        NetworkConfig("compact-ema", (_ema(5, alpha=0.3),), "compact"),
        NetworkConfig("compact-clstm", (RecurrenceConfig("convlstm", 5),), "compact"),
    )
}
"""Every configuration by its name."""


def named_config(name: str) -> NetworkConfig:
    """The configuration of that name.

    Raises:
        InputError: there is none.
    """
    if name not in CONFIGS:
        raise InputError(f"there is no configuration {name!r}; choose from {', '.join(CONFIGS)}")
    return CONFIGS[name]
