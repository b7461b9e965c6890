"""What all commands share: one line for an error, exit code 2, and never a traceback for a fault of the input."""

from __future__ import annotations

import contextlib
import importlib
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn
from rich.text import Text
from typer.core import TyperGroup

from sal_runtime.errors import MissingDependency, SalError

out = Console(highlight=False, markup=False)
"""Where results and summaries go."""
err = Console(stderr=True, highlight=False, markup=False)
"""Where warnings, progress and errors go."""


def launch(module: str, name: str) -> None:
    """Run the typer app ``module.app`` as the command ``name`` and exit.

    The module is imported in here, since a missing package or system library shows already then.
    """
    if threading.current_thread() is threading.main_thread():
        # A service manager's stop is a person's Ctrl-C: what was written aside is removed on the way out.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        app = importlib.import_module(module).app
        app(prog_name=name, standalone_mode=True)
    except SalError as exc:
        fail(str(exc))
    except KeyboardInterrupt:
        fail("interrupted; nothing was kept", code=130)
    except BrokenPipeError:
        sys.exit(0)


@contextlib.contextmanager
def needs_extra(extra: str) -> Iterator[None]:
    """Within the block a package that is not installed becomes a sentence that names the extra.

    Raises:
        MissingDependency: instead of the ``ModuleNotFoundError``.
    """
    try:
        yield
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.startswith("sal_"):
            raise
        package = exc.name.split(".")[0]
        raise MissingDependency(
            f"{package} is not installed: pip install 'sal-edge[{extra}]' (in a checkout: pip install -e '.[{extra}]')"
        ) from exc


@contextlib.contextmanager
def bar_over(name: str, total: int) -> Iterator[Callable[[], None]]:
    """A bar with counts and the time left; within the block, call what is given after each part. Silent elsewhere."""
    done = 0
    with stage_bar() as tell:
        tell(name, 0, total)

        def advance() -> None:
            nonlocal done
            done += 1
            tell(name, done, total)

        yield advance


@contextlib.contextmanager
def stage_bar() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for work in stages: call it with a stage's name, the steps done and in all. Silent off a terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("", total=None)
        yield lambda name, done, total: bar.update(task, description=name, completed=done, total=total or None)


@contextlib.contextmanager
def build_progress() -> Iterator[Callable[[str, int, int], None]]:
    """The same for the building of an engine, which is announced in a line wherever stderr goes."""
    announced = False
    with stage_bar() as tell:

        def on_build(phase: str, done: int, total: int) -> None:
            nonlocal announced
            if not announced:
                announced = True
                err.print("building a TensorRT engine; this may take minutes", style="dim")
            tell(phase, done, total)

        yield on_build


def typed(context: Any) -> dict[str, str]:
    """Every parameter that was named on the command line, and the word that names it; an argument has none."""
    found = {}
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            found[name] = max(parameter.opts, key=len) if parameter.param_type_name == "option" else ""
    return found


def fail(message: str, code: int = 2) -> None:
    """Print one line on stderr and exit."""
    err.print(Text.assemble(("error: ", "bold red"), message), soft_wrap=True)
    sys.exit(code)


def warn(message: str) -> None:
    """Print a line that the user should not miss."""
    err.print(Text.assemble(("warning: ", "bold yellow"), message), soft_wrap=True)


class DefaultCommandGroup(TyperGroup):
    """Commands of which the first is meant where none is named.

    With ``typer.Typer(cls=DefaultCommandGroup)`` and the commands ``score`` and ``compare``, ``sal-eval MODEL`` is
    ``sal-eval score MODEL``, and ``sal-eval --help`` shows the list of both and all of the first.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the first command's name before arguments that begin with no command's."""
        if not args or (args[0] not in self.commands and args[0] not in ctx.help_option_names):
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """The help of the first command under the program's own name, after the list of all."""
        super().format_help(ctx, formatter)
        default = next(iter(self.commands.values()))
        default.format_help(type(ctx)(default, info_name=ctx.info_name), formatter)
