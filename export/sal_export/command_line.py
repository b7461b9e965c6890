"""The command as it was typed: which options were named, whether they go together, and how an engine is made again."""

from __future__ import annotations

import typer

from sal_runtime.console import typed
from sal_runtime.errors import InputError

_OF_WEIGHTS = (
    "config", "precision", "half", "int8", "imgsz", "batch", "dynamic", "device_resize", "fold", "opset", "calib",
    "calib_frames", "quant_exclude", "parity_backend", "seed",
)  # fmt: skip
"""Settled in an artifact."""
_OF_EIGHT_BITS = ("calib", "calib_frames", "quant_exclude")
_OF_ENGINES = ("workspace", "opt_level", "profile", "version_compatible", "hardware_compatible", "tf32")
_NOT_KEPT = {"output", "exist_ok", "inspect", "formats"}
"""Where an engine goes and what is told meanwhile; the format is said anew."""


def require_meaning(words: dict[str, str], precision: str, artifact: str, engine: bool) -> None:
    """Refuse what would be dropped in silence.

    Args:
        words: from :func:`sal_runtime.console.typed`.
        precision: of what is made.
        artifact: the file's name where an ``.onnx`` or ``.engine`` was given; else empty.
        engine: whether one is made or looked at.

    Raises:
        InputError: an option that has nothing to act on, or contradicts another.
    """
    if sum(name in words for name in ("precision", "half", "int8")) > 1:
        raise InputError("give one of --precision, --half and --int8")
    for name in _OF_WEIGHTS:
        if artifact and name in words:
            raise InputError(f"{words[name]} is settled in {artifact}; name the weights to choose it anew")
    for name in _OF_EIGHT_BITS:
        if name in words and precision not in ("int8", "fp8"):
            raise InputError(f"{words[name]} is for --precision int8 and fp8, not {precision}")
    for name in _OF_ENGINES:
        if name in words and not engine:
            raise InputError(f"{words[name]} is for engines: add --format engine")


def engine_command(context: typer.Context) -> tuple[str, ...]:
    """The words of the ``sal-export`` under way that make its engine, without the output's name."""
    words, named = ["sal-export"], typed(context)
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in _NOT_KEPT or name not in named:
            continue
        value = context.params[name]
        for one in value if getattr(parameter, "multiple", False) else [value]:
            words += [named[name]] if named[name] else []
            if not getattr(parameter, "is_flag", False):
                words += map(str, one if parameter.nargs > 1 else [one])
    return (*words, "--format", "engine")
