"""The contract between the exporter and the runtime: what one step of an artifact takes and gives.

The exporter writes a :class:`Manifest` into the artifact, the runtime reads it and allocates every tensor from it.
Nothing about a model is guessed from a file's name, from the order of its tensors or from their spelling.

This module reads and writes JSON only. Where the JSON lies (inside an ``.onnx``, beside an ``.engine``) is each
backend's own knowledge.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sal_runtime.errors import ArtifactError

VERSION = 1
"""The manifest version that this code writes and the only one it reads."""

METADATA_KEY = "sal_edge_manifest"
"""The key under which an ``.onnx`` carries its manifest in ``metadata_props``."""

Shape = tuple[int, ...]
Signature = tuple[str, Shape]
"""What a graph says of one tensor: NumPy's name of its type, and its shape."""


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of the step graph."""

    name: str
    """Name in the graph."""
    dtype: str
    """NumPy's name of the element type."""
    shape: Shape
    """Shape with the batch first; -1 in the first place means any batch."""

    def sized(self, batch: int) -> Shape:
        """The shape at a given batch size."""
        return (batch, *self.shape[1:])

    def zeros(self, batch: int) -> np.ndarray[Any, Any]:
        """A zero tensor of this kind."""
        return np.zeros(self.sized(batch), np.dtype(self.dtype))


@dataclass(frozen=True)
class StateSpec:
    """A recurrent state: the tensor that goes in and the one that comes out, paired here and nowhere else."""

    input: TensorSpec
    """The state before the frame."""
    output: TensorSpec
    """The state after the frame; it becomes the next step's input."""


@dataclass(frozen=True)
class Recurrence:
    """How the network remembers."""

    kind: str
    """``"ema"`` (paper, eq. 6 and 8) or ``"convlstm"`` (eq. 1 to 5)."""
    index: int
    """The layer it stands at, in the network's own numbering."""
    alpha: float | None = None
    """An EMA's effective alpha: the share of the present frame, 0 to 1 (eq. 6)."""
    raw_alpha: float | None = None
    """The learnt parameter p with alpha = sigmoid(p) (eq. 8); None where alpha was fixed."""


@dataclass(frozen=True)
class Manifest:
    """Everything that is needed to run an artifact, and where it came from."""

    model: str
    """Name of the configuration, such as ``salema30``."""
    precision: str
    """``fp32``, ``fp16``, ``int8`` or ``fp8``: the type of the convolutions; states are always float32."""
    frame: TensorSpec
    """uint8 [B, H, W, 3], BGR, already resized to H x W; or larger, where the graph itself ``resizes``."""
    carry: TensorSpec
    """float32 [B, 1]: the share of the previous state that enters the step; 0 starts anew."""
    saliency: TensorSpec
    """float32 [B, H, W], 0 to 1."""
    states: tuple[StateSpec, ...]
    """Empty for a network without recurrence."""
    recurrences: tuple[Recurrence, ...]
    """One entry a recurrence; the first EMA's alpha governs ``carry``."""
    reference_fps: float
    """The frame rate at which alpha was set, in frames a second."""
    pixel_mean: tuple[float, float, float]
    """What the graph subtracts from B, G, R; told for information, the runtime does not touch pixels."""
    provenance: dict[str, Any] = field(default_factory=dict)
    """Checkpoint hash, tool versions, random or trained weights."""
    parity: dict[str, Any] | None = None
    """What the closed-loop comparison with the network found at export."""
    resizes: bool = False
    """Whether the graph takes whole frames of one size and makes them small itself."""
    version: int = VERSION
    """Version of this record."""

    @property
    def height(self) -> int:
        """Height that the network sees, and of its map, in pixels."""
        return self.saliency.shape[1]

    @property
    def width(self) -> int:
        """Width that the network sees, and of its map, in pixels."""
        return self.saliency.shape[2]

    @property
    def frame_size(self) -> tuple[int, int]:
        """Height and width of the frame that goes in."""
        return self.frame.shape[1], self.frame.shape[2]

    @property
    def batch(self) -> int | None:
        """The fixed batch size, or None where any is taken."""
        return None if self.frame.shape[0] < 0 else self.frame.shape[0]

    @property
    def alpha(self) -> float | None:
        """The effective alpha that ``carry`` speaks of; None where no EMA is present."""
        return next((r.alpha for r in self.recurrences if r.alpha is not None), None)

    @property
    def normal_carry(self) -> float:
        """``carry`` between two frames at the reference rate: 1 - alpha of the first EMA, 1 for a ConvLSTM, else 0."""
        if self.alpha is not None:
            return 1.0 - self.alpha
        return 1.0 if self.recurrences else 0.0

    @property
    def random_weights(self) -> bool:
        """Whether the artifact was exported without trained weights."""
        return bool(self.provenance.get("random_weights", False))

    @property
    def caution(self) -> str:
        """What to know of its weights before its maps are believed; empty for weights that were trained to the end."""
        if self.random_weights:
            return f"{self.model} was exported with random weights: its maps mean nothing"
        stopped = self.provenance.get("unfinished")
        return f"{self.model} is of a training that was stopped: {stopped}" if stopped else ""

    def carry_after(self, seconds: float, alpha: float | None = None) -> float:
        """``carry`` for a frame that comes ``seconds`` after the one before: (1 - alpha) ** (seconds * reference_fps).

        An EMA's decay is per frame of the training data; this makes it per second, so that a slow camera, a dropped
        frame or a stride smooths over the same span of time. ``alpha`` replaces the artifact's own. A ConvLSTM has no
        such law: its carry is 1 whatever the interval.
        """
        if self.alpha is None:
            return self.normal_carry
        used = self.alpha if alpha is None else alpha
        return float((1.0 - used) ** (seconds * self.reference_fps))

    def to_json(self) -> str:
        """The manifest as one JSON document."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, where: str = "the manifest") -> Manifest:
        """Read and check a manifest; ``where`` names the file in messages.

        Raises:
            ArtifactError: not JSON, another version, a field missing, or tensors that contradict the contract.
        """
        try:
            raw = json.loads(text)
        except ValueError as exc:
            raise ArtifactError(f"{where}: the manifest is not JSON ({exc}); export the model again") from exc
        found = raw.get("version") if isinstance(raw, dict) else None
        if found != VERSION:
            raise ArtifactError(
                f"{where}: manifest version {found!r} is not {VERSION}, the one this sal-edge reads; "
                "export the model again with this version, or install the sal-edge that made it"
            )
        try:
            manifest = cls(
                **{
                    **raw,
                    **{key: _tensor(raw[key]) for key in ("frame", "carry", "saliency")},
                    "states": tuple(StateSpec(_tensor(s["input"]), _tensor(s["output"])) for s in raw["states"]),
                    "recurrences": tuple(Recurrence(**r) for r in raw["recurrences"]),
                    "pixel_mean": tuple(raw["pixel_mean"]),
                }
            )
            manifest.check(where)
        except (KeyError, TypeError, AttributeError, ValueError, IndexError) as exc:
            raise ArtifactError(
                f"{where}: the manifest lacks or mistakes a field ({exc}); export the model again"
            ) from exc
        return manifest

    def check(self, where: str = "the manifest") -> None:
        """Hold the tensors against the contract.

        Raises:
            ArtifactError: a state whose two sides differ, a frame of the wrong type, an alpha outside 0 to 1.
        """

        def require(holds: bool, fault: str) -> None:
            if not holds:
                raise ArtifactError(f"{where}: {fault}; export the model again")

        batch, shape = self.frame.shape[0], self.frame.shape
        require(
            len(shape) == 4 and shape[3] == 3 and self.frame.dtype == "uint8", f"frame is {self.frame}, not uint8 BHW3"
        )
        told = (self.model, self.precision)
        require(all(isinstance(text, str) for text in told), "model and precision are not names")
        require(isinstance(self.provenance, dict), "provenance is not a table")
        require(min(shape[1:]) > 0 and (batch == -1 or batch > 0), f"frame is {self.frame}, of no size")
        require(
            self.carry.shape == (batch, 1) and self.carry.dtype == "float32", f"carry is {self.carry}, not float32 B1"
        )
        require(isinstance(self.resizes, bool), f"resizes is {self.resizes!r}, neither true nor false")
        small = self.saliency.shape
        fits = small == shape[:3] or (
            self.resizes
            and len(small) == 3
            and small[0] == batch
            and all(0 < a <= b for a, b in zip(small[1:], shape[1:3], strict=True))
        )
        require(fits and self.saliency.dtype == "float32", f"saliency is {self.saliency}, not float32 {shape[:3]}")
        for state in self.states:
            before, after = state.input, state.output
            require(
                (before.dtype, before.shape) == (after.dtype, after.shape)
                and before.dtype == "float32"
                and len(before.shape) == 4
                and before.shape[0] == batch,
                f"state {before.name!r} {before.dtype}{list(before.shape)} does not pair with "
                f"{after.name!r} {after.dtype}{list(after.shape)}",
            )
        require(bool(self.states) == bool(self.recurrences), "states and recurrences are not both present")
        for recurrence in self.recurrences:
            alpha = recurrence.alpha
            require(recurrence.kind in ("ema", "convlstm"), f"recurrence {recurrence.kind!r} is unknown")
            known = recurrence.kind == "convlstm" if alpha is None else 0.0 < alpha <= 1.0
            require(known, f"alpha {alpha} is not within 0 to 1")
        require(self.reference_fps > 0 and math.isfinite(self.reference_fps), f"reference rate is {self.reference_fps}")

    def agree(self, inputs: Mapping[str, Signature], outputs: Mapping[str, Signature], where: str) -> None:
        """Hold what the engine says of its graph against this manifest.

        Args:
            inputs: name to (dtype, shape) as the engine reports them; a free dimension is -1.
            outputs: the same for the outputs.
            where: the file, for messages.

        Raises:
            ArtifactError: a tensor that is missing, left over, or of another type or shape.
        """
        sides = (
            ("input", inputs, [self.frame, self.carry, *(s.input for s in self.states)]),
            ("output", outputs, [self.saliency, *(s.output for s in self.states)]),
        )
        for side, graph, specs in sides:
            for spec in specs:
                found = graph.get(spec.name)
                if found != (spec.dtype, spec.shape):
                    told = "is missing" if found is None else f"is {found[0]}{list(found[1])}"
                    raise ArtifactError(
                        f"{where}: {side} {spec.name!r} {told} in the graph, the manifest says "
                        f"{spec.dtype}{list(spec.shape)}; export the model again"
                    )
            left_over = sorted(set(graph) - {spec.name for spec in specs})
            if left_over:
                raise ArtifactError(
                    f"{where}: the graph has {side}s that the manifest does not pair ({', '.join(left_over)}); "
                    "export the model again"
                )


def _tensor(raw: dict[str, Any]) -> TensorSpec:
    """A tensor's record back from JSON."""
    return TensorSpec(str(raw["name"]), np.dtype(raw["dtype"]).name, tuple(int(n) for n in raw["shape"]))
