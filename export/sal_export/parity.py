"""The closed-loop parity check: does the artifact compute what its network computes, over time?

The reference and the runtime each thread their own state over the same frames, with restarts and a gap among them, so
that an error in the recurrence has time to grow. Outputs and states are compared at every frame. One frame proves
little: a state that is dropped, swapped or slowly drifting looks right at first.

The reference is a backend like any other: the network in PyTorch (:mod:`sal_train.torch_backend`), or where only the
artifact is at hand, as on a device without PyTorch, the artifact on the CPU for the engine that was built from it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sal_runtime.arrays import Floats, Pixels
from sal_runtime.backends import Backend, Options, open_backend
from sal_runtime.errors import InputError, ParityError
from sal_runtime.manifest import Manifest
from sal_runtime.sources import open_source
from sal_runtime.vision import cv2

FRAMES = 300
"""Frames of a check: ten seconds at the paper's rate."""


@dataclass(frozen=True)
class Tolerance:
    """What an artifact of some precision must keep; None does not bind."""

    error: float | None = None
    """Largest absolute error of a map's value."""
    state: float | None = None
    """Largest error of a state, relative to the state's largest value."""
    cc: float | None = None
    """Least correlation of a map with the network's own."""


TOLERANCES = {
    "fp32": Tolerance(error=1e-5, state=1e-4),
    "fp16": Tolerance(cc=0.999),
    "int8": Tolerance(cc=0.99),
    "fp8": Tolerance(cc=0.99),
}


ON_GPU = Tolerance(error=1e-3, state=1e-3)
"""For float32 on a GPU, where sums run in another order, and by other algorithms, than on a CPU."""

GATED = Tolerance(error=2e-3, state=2e-2)
"""For a ConvLSTM in float32, wherever it runs. Its gates saturate on sums of thousands of products: with random weights
PyTorch's own float32 is off its float64 by 1.9e-5 in the map and 5.6e-4 in the state after one step of ``salclstm30``,
and its memory keeps adding up what was rounded.
"""

UNBOUND = Tolerance()
"""For random weights in eight bits: their maps are noise about a constant, which eight bits do not keep. They serve
timing, so they are measured and not refused."""

RESIZED = Tolerance(error=5e-3, cc=0.9999)
"""For a float32 graph that resizes by itself: see :mod:`sal_export.area`."""


@dataclass
class Parity:
    """What the comparison found, frame by frame."""

    source: str
    """Where the frames came from."""
    backend: str
    """What ran the artifact."""
    tolerance: Tolerance
    """What was asked of it."""
    restarts: list[int]
    """Frames at which the first slot's state began anew."""
    error: list[float] = field(default_factory=list)
    """Largest absolute difference of the maps."""
    cc: list[float] = field(default_factory=list)
    """Pearson correlation of the maps."""
    kl: list[float] = field(default_factory=list)
    """KL divergence of the artifact's map from the network's, each divided by its sum."""
    state: list[float] = field(default_factory=list)
    """Largest difference of the states over the network's largest value; 0 without states."""

    def fault(self) -> str | None:
        """The first frame outside the tolerance, in words; None where all are within."""
        t = self.tolerance
        for frame, (error, cc, state) in enumerate(zip(self.error, self.cc, self.state, strict=True)):
            if not np.isfinite([error, cc, state]).all():
                return f"at frame {frame} its values are not finite"
            if t.error is not None and error > t.error:
                return f"at frame {frame} a map's value is off by {error:.2e} (at most {t.error:.0e})"
            if t.state is not None and state > t.state:
                return f"at frame {frame} a state is off by {state:.2e} of its largest value (at most {t.state:.0e})"
            if t.cc is not None and cc < t.cc:
                return f"at frame {frame} the maps correlate by {cc:.5f} (at least {t.cc})"
        return None

    def summary(self) -> dict[str, float]:
        """The worst of each measure."""
        worst = {"max_error": max(self.error), "min_cc": min(self.cc), "max_kl": max(self.kl)}
        return {**worst, "max_state_drift": max(self.state), "final_state_drift": self.state[-1]}

    def to_dict(self) -> dict[str, Any]:
        """For the manifest: the worst values and every frame's, to four digits."""
        by_frame = {name: [float(f"{value:.4g}") for value in getattr(self, name)] for name in ("error", "kl", "state")}
        by_frame["cc"] = [round(value, 6) for value in self.cc]
        told = {k: v for k, v in vars(self.tolerance).items() if v is not None}
        return {
            "frames": len(self.error),
            "source": self.source,
            "backend": self.backend,
            "tolerance": told,
            "restarts": self.restarts,
            **{name: float(f"{value:.6g}") for name, value in self.summary().items()},
            "by_frame": by_frame,
        }


def carry_schedule(frames: int, normal: float, slot: int = 0) -> list[float]:
    """``carry`` for every frame: a start, a restart in each third, a stretch of threefold gaps; slots differ.

    Args:
        frames: how many.
        normal: carry between two frames at the reference rate.
        slot: of a batch; its restarts come a few frames later, so that a restart in one slot must not touch another.
    """
    restarts = {0, *((frames * part) // 3 + 5 * slot for part in (1, 2))}
    gaps = range(frames // 2, frames // 2 + max(1, frames // 20))
    return [0.0 if i in restarts else normal**3 if i in gaps else normal for i in range(frames)]


def parity_frames(source: str, frames: int, height: int, width: int) -> list[Pixels]:
    """Frames for a check, uint8 [H, W, 3]; a source that is too short runs forth and back.

    Raises:
        SourceError: the source cannot be read.
        InputError: it has no end, or no frame.
    """
    opened = open_source(source)
    if opened.live:
        opened.close()
        raise InputError(f"{source}: a check wants frames that can be had again, from a file, a folder or demo")
    taken: list[Pixels] = []
    try:
        for frame in opened:
            taken.append(cv2.resize(frame.image, (width, height), interpolation=cv2.INTER_AREA))
            if len(taken) == frames:
                break
    finally:
        opened.close()
    loop = taken + taken[-2:0:-1]
    return [loop[i % len(loop)] for i in range(frames)]


def check_parity(
    reference: Backend,
    artifact: Path,
    frames: Iterable[Pixels],
    source: str,
    tolerance: Tolerance | None = None,
    backend: str = "auto",
    on_frame: Callable[[], None] = lambda: None,
    options: Options | None = None,
) -> Parity:
    """Run reference and artifact side by side over ``frames``.

    Args:
        reference: such as ``TorchBackend(network, H, W)`` of the network in float32, before folding and conversion.
        artifact: the exported file.
        frames: uint8 of the size that the artifact takes; slots of a batch see them mirrored in turn.
        source: what to call the frames in the result.
        tolerance: by default the one for the artifact's precision.
        backend: what runs the artifact.
        on_frame: called after every frame.
        options: of that backend.

    Returns:
        the measurements; :meth:`Parity.fault` says whether they hold.
    """
    opened = open_backend(artifact, backend, options)
    try:
        on_gpu = artifact.suffix == ".engine" or "tensorrt" in backend or (options or Options()).device != "cpu"
        bound = tolerance or tolerance_of(opened.manifest, on_gpu)
        return _compare(reference, opened, list(frames), source, bound, on_frame)
    finally:
        opened.close()


def tolerance_of(manifest: Manifest, on_gpu: bool = False) -> Tolerance:
    """What an artifact must keep, by its precision, its recurrence and where it runs."""
    if manifest.precision != "fp32":
        eight = manifest.precision in ("int8", "fp8")
        return UNBOUND if eight and manifest.random_weights else TOLERANCES[manifest.precision]
    # A grey level that is rounded to the other side is no fault of the graph, and passes no bound on single values.
    if manifest.resizes:
        return dataclasses.replace(RESIZED, cc=None) if manifest.random_weights else RESIZED
    if manifest.states and manifest.alpha is None:
        return GATED
    return ON_GPU if on_gpu else TOLERANCES["fp32"]


def require_parity(parity: Parity, what: str) -> None:
    """Accept a measurement or refuse the artifact.

    Raises:
        ParityError: outside the tolerance; the message says at which frame and by how much.
    """
    fault = parity.fault()
    if fault is not None:
        raise ParityError(f"{what} does not compute what its network computes: {fault}; nothing was written")


def _compare(
    reference: Backend,
    backend: Backend,
    frames: list[Pixels],
    source: str,
    tolerance: Tolerance,
    on_frame: Callable[[], None],
) -> Parity:
    manifest = backend.manifest
    batch = manifest.batch or 1
    schedules = [carry_schedule(len(frames), manifest.normal_carry, slot) for slot in range(batch)]
    restarts = [i for i, carry in enumerate(schedules[0]) if carry == 0.0]
    parity = Parity(source, backend.name, tolerance, restarts)
    other, stream = reference.stream(batch), backend.stream(batch)
    try:
        for index, picture in enumerate(frames):
            pictures = np.stack([picture[:, :: -1 if slot % 2 else 1] for slot in range(batch)])
            carry = np.array([[schedule[index]] for schedule in schedules], np.float32)
            expected = other.step(sized(pictures, reference.manifest.frame_size), carry)
            own = stream.step(pictures, carry)
            _measure(parity, expected, own, other.snapshot(), stream.snapshot())
            on_frame()
    finally:
        stream.close()
        other.close()
    return parity


def sized(pictures: Pixels, size: tuple[int, int]) -> Pixels:
    """Pictures [B, h, w, 3] of that height and width: an artifact may take larger ones and resize them itself."""
    height, width = size
    if pictures.shape[1:3] == (height, width):
        return pictures
    return np.stack([cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA) for picture in pictures])


def _measure(parity: Parity, reference: Floats, own: Floats, states: list[Floats], own_states: list[Floats]) -> None:
    """Append one frame's measures, the worst slot's each."""
    parity.error.append(float(np.abs(own - reference).max()))
    parity.cc.append(min(_correlation(a, b) for a, b in zip(own, reference, strict=True)))
    parity.kl.append(max(_divergence(a, b) for a, b in zip(own, reference, strict=True)))
    drift = [float(np.abs(a - b).max() / max(np.abs(b).max(), 1e-12)) for a, b in zip(own_states, states, strict=True)]
    parity.state.append(max(drift, default=0.0))


def _correlation(a: Floats, b: Floats) -> float:
    """Pearson's, 1 for two maps that are flat alike."""
    a64, b64 = a.astype(np.float64) - a.mean(dtype=np.float64), b.astype(np.float64) - b.mean(dtype=np.float64)
    scale = float(np.sqrt((a64**2).sum() * (b64**2).sum()))
    if scale < 1e-12:
        return 1.0 if np.allclose(a, b, atol=1e-6) else 0.0
    return float((a64 * b64).sum() / scale)


def _divergence(own: Floats, reference: Floats) -> float:
    """KL divergence in nats of the artifact's map from the network's, both as distributions."""
    p, q = (x.astype(np.float64) / max(float(x.sum(dtype=np.float64)), 1e-12) for x in (reference, own))
    return float(np.maximum((p * np.log((p + 1e-12) / (q + 1e-12))).sum(), 0.0))
