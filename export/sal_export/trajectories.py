"""What an int8 export is calibrated on: the inputs that a recurrent network meets along its way through real clips.

A state cannot be drawn at random, nor is it ever the zero of a first frame for long: its range depends on what was seen
before. So the float artifact replays clips with its state threaded, begun anew where the runtime would (at a cut) and
where the parity check does (:func:`sal_export.parity.carry_schedule`), and some of its steps are kept with all their
inputs.

Which ones is a rule: of the steps that start anew and those right after them, evenly chosen, at most half of the
number asked for; the rest evenly from all other steps. Where calibration and check share a source, calibration sees it
mirrored, so that no frame is in both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sal_export.parity import carry_schedule, parity_frames
from sal_runtime.arrays import AnyArray, Pixels
from sal_runtime.backends import open_backend
from sal_runtime.cuts import look
from sal_runtime.errors import InputError

REPLAYED = 300
"""Steps replayed in all, shared among the clips: ten seconds, all of the demo."""
KEPT = 32
"""Steps kept by default."""
_VIDEOS = {".avi", ".mkv", ".mov", ".mp4", ".webm"}


@dataclass(frozen=True)
class Trajectory:
    """Steps kept of a replay."""

    inputs: list[dict[str, AnyArray]]
    """Every input of the graph by its name: frame, carry and states."""
    restarts: int
    """How many of them start anew."""
    clips: list[str]
    """The sources replayed."""


def replay(
    artifact: Path, source: str, kept: int = KEPT, mirrored: bool = False, steps: int | None = None
) -> Trajectory:
    """Thread the float artifact through ``source`` and keep some of its steps.

    Args:
        artifact: the float model with its manifest.
        source: a video, a folder of videos or of pictures, a glob or ``demo``.
        kept: how many steps to keep.
        mirrored: whether to show every frame mirrored left to right.
        steps: how many to replay in all; by default :data:`REPLAYED`.

    Raises:
        InputError: no step is asked for, or the source has no end.
        SourceError: the source cannot be read.
    """
    if kept < 1:
        raise InputError("calibration needs at least one frame")
    clips = clips_of(source)
    backend = open_backend(artifact, "onnxruntime")
    try:
        manifest = backend.manifest
        slots = manifest.batch or 1
        inputs: list[dict[str, AnyArray]] = []
        fresh: list[int] = []
        length = max(2, -(-(steps or REPLAYED) // len(clips)))
        # Keeping every state of every step would take gigabytes, so the choice is made before the replay.
        plans = [_plan(parity_frames(clip, length, *manifest.frame_size), manifest.normal_carry) for clip in clips]
        chosen = choose_steps([carry for _, carries in plans for carry in carries], kept)
        position = 0
        for frames, carries in plans:
            stream = backend.stream(slots)
            for frame, carry in zip(frames, carries, strict=True):
                picture = np.ascontiguousarray(frame[:, ::-1] if mirrored else frame)
                given = np.stack([picture] * slots), np.full((slots, 1), carry, np.float32)
                if position in chosen:
                    states = zip(manifest.states, stream.snapshot(), strict=True)
                    fresh.append(int(carry == 0.0))
                    inputs.append(
                        {
                            manifest.frame.name: given[0],
                            manifest.carry.name: given[1],
                            **{spec.input.name: state for spec, state in states},
                        }
                    )
                stream.step(*given)
                position += 1
            stream.close()
    finally:
        backend.close()
    return Trajectory(inputs, sum(fresh), clips)


def clips_of(source: str) -> list[str]:
    """The clips that a source stands for: a folder with videos in it is all of them, anything else is one."""
    folder = Path(source)
    videos = sorted(p for p in folder.iterdir() if p.suffix.lower() in _VIDEOS) if folder.is_dir() else []
    return [str(video) for video in videos] or [source]


def choose_steps(carries: Sequence[float], kept: int) -> set[int]:
    """Positions of the steps to keep, by the rule of this module.

    Args:
        carries: of every step of the replay, in order; 0 starts anew.
        kept: how many at most.
    """
    anew = [i for i, carry in enumerate(carries) if carry == 0.0]
    near = sorted({*anew, *(i + 1 for i in anew if i + 1 < len(carries))})
    others = sorted(set(range(len(carries))) - set(near))
    first = _evenly(near, max((kept + 1) // 2, kept - len(others)))
    return {*first, *_evenly(others, kept - len(first))}


def _evenly(positions: Sequence[int], count: int) -> list[int]:
    """At most ``count`` of the positions, evenly, the first among them."""
    if count >= len(positions):
        return list(positions)
    return [positions[i * len(positions) // count] for i in range(count)]


def _plan(frames: list[Pixels], normal: float) -> tuple[list[Pixels], list[float]]:
    """A clip and the carry of each of its steps: the check's schedule, and 0 at every cut."""
    carries, shot = carry_schedule(len(frames), normal), None
    for index, frame in enumerate(frames):
        cut, shot = look(frame, shot)
        if cut:
            carries[index] = 0.0
    return frames, carries
