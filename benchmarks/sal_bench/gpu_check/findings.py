"""What a check found, and how a list of checks is run: one that breaks must not keep the others from being run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from sal_runtime.errors import MissingDependency, SalError

Verdict = Literal["holds", "fails", "not run", "measured"]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    name: str
    """What must hold."""
    verdict: Verdict
    """``measured`` where nothing is asked of a figure."""
    told: str
    """The figure, or why there is none."""


class NotRun(Exception):  # noqa: N818 - reads as what it is
    """A check that cannot be run here; the text says why."""


Check = Callable[[], tuple[bool | None, str]]
"""Returns whether it holds (None: only measured) and what was found; raises :class:`NotRun`, or what went wrong."""


def run_checks(checks: list[tuple[str, Check]], on_check: Callable[[str], None] = lambda name: None) -> list[Finding]:
    """Run all, in order."""
    findings = []
    for name, check in checks:
        on_check(name)
        findings.append(_run(name, check))
    return findings


def _run(name: str, check: Check) -> Finding:
    try:
        holds, told = check()
    except (NotRun, MissingDependency) as exc:
        return Finding(name, "not run", str(exc))
    except SalError as exc:
        return Finding(name, "fails", str(exc))
    except Exception as exc:  # a fault of ours or a vendor's: told, and the other checks go on
        first = str(exc).strip().splitlines()
        return Finding(name, "fails", f"{type(exc).__name__}: {first[0] if first else ''}")
    return Finding(name, "measured" if holds is None else "holds" if holds else "fails", told)
