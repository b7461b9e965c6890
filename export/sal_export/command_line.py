"""The command as it was given, so that an engine can say how it is made again."""

from __future__ import annotations

import typer

_NOT_KEPT = {"output", "exist_ok", "inspect", "formats"}
"""Where it goes and what is told meanwhile; the format is said anew."""


def engine_command(context: typer.Context) -> tuple[str, ...]:
    """The words of the ``sal-export`` under way that make its engine, without the output's name."""
    words = ["sal-export"]
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in _NOT_KEPT or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        for one in value if getattr(parameter, "multiple", False) else [value]:
            if parameter.param_type_name == "option":
                words.append(max(parameter.opts, key=len))
            if not getattr(parameter, "is_flag", False):
                words += map(str, one if parameter.nargs > 1 else [one])
    return (*words, "--format", "engine")
