"""What a user may ask of an engine. There is no precision here: it stands in the graph."""

from __future__ import annotations

from dataclasses import dataclass

from sal_runtime.errors import InputError
from sal_runtime.manifest import Manifest

Batches = tuple[int, int, int]
"""A profile: the least batch, the one that is optimised for, the largest."""

OPEN_BATCH: Batches = (1, 1, 8)
"""The profile of an artifact with an open batch, unless told otherwise."""


@dataclass(frozen=True)
class BuildOptions:
    """What a user may ask of an engine."""

    workspace: int | None = None
    """MiB that kernels may use beside weights and activations while building and running; None: the device's all."""
    level: int | None = None
    """Optimisation level, 0 (builds fast) to 5 (runs fast); None: TensorRT's default, 3."""
    profiles: tuple[Batches, ...] = ()
    """Of an open batch; each is optimised for its own middle value."""
    version_compatible: bool = False
    """Whether later versions of TensorRT may load the engine too."""
    hardware_compatible: bool = False
    """Whether other GPUs (Ampere and later) may load it too; slower."""
    tf32: bool = False
    """Whether float32 convolutions may round their factors to TF32, as TensorRT would by itself."""

    def flags(self) -> list[str]:
        """The options of ``sal-export`` that say the same."""
        told: list[str] = []
        told += [] if self.workspace is None else ["--workspace", str(self.workspace)]
        told += [] if self.level is None else ["--opt-level", str(self.level)]
        for profile in self.profiles:
            told += ["--profile", ":".join(map(str, profile))]
        for name, on in (
            ("--version-compatible", self.version_compatible),
            ("--hardware-compatible", self.hardware_compatible),
            ("--tf32", self.tf32),
        ):
            told += [name] if on else []
        return told


def parse_profile(text: str) -> Batches:
    """``1:4:8`` as a profile.

    Raises:
        InputError: it is none.
    """
    parts = text.split(":")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise InputError(f"a profile is MIN:OPT:MAX, such as 1:4:8, not {text!r}")
    least, best, most = map(int, parts)
    return least, best, most


def profiles_of(manifest: Manifest, options: BuildOptions) -> tuple[Batches, ...]:
    """The profiles that an engine gets: none where the batch is fixed.

    Raises:
        InputError: there are some for a fixed batch, or one that does not rise.
    """
    if manifest.batch is not None:
        if options.profiles:
            raise InputError(
                f"the artifact's batch is {manifest.batch}, so there is no --profile; export with --dynamic"
            )
        return ()
    for profile in options.profiles:
        least, best, most = profile
        if not 1 <= least <= best <= most:
            raise InputError(f"a profile is MIN:OPT:MAX with 1 <= MIN <= OPT <= MAX, not {':'.join(map(str, profile))}")
    return options.profiles or (OPEN_BATCH,)
