"""The report as one HTML page that needs nothing from anywhere, as Markdown, and the files of both."""

from __future__ import annotations

import html
from pathlib import Path

from rich.console import Console

from sal_bench.content import notes, tables
from sal_bench.plots import overview, plots
from sal_bench.report import Report
from sal_bench.svg import COLOURS
from sal_runtime.atomic import aside, claim

FILES = ("report.json", "report.md", "report.html", "report.svg")
"""What :func:`write_report` makes; the last is the picture in the Markdown."""

_HUES = (212, 28, 140, 340, 265, 50, 185, 0, 95, 300, 235, 70, 205, 20, 150, 320)
_LIGHT = "".join(f".c{n}{{--c:hsl({_HUES[n]} 70% {42 if n < 12 else 25}%)}}" for n in range(COLOURS))
_DARK = "".join(f".c{n}{{--c:hsl({_HUES[n]} 75% {65 if n < 12 else 85}%)}}" for n in range(COLOURS))
_SHAPES = (
    ".s{stroke:var(--c)}.f{fill:var(--c)}text{font:12px system-ui,sans-serif}"
    ".ink{--c:#1d2127}.soft{--c:#5a6472}.faint{--c:#e3e6ea}" + _LIGHT + "@media(prefers-color-scheme:dark){"
    ".ink{--c:#e6e9ed}.soft{--c:#9aa5b1}.faint{--c:#31373f}" + _DARK + "}"
)
_STYLE = (
    ":root{color-scheme:light dark;--back:#fff;--ink:#1d2127;--soft:#5a6472;--edge:#d5dae0;--warn:#8a4b00}"
    "@media(prefers-color-scheme:dark){:root{--back:#15181c;--ink:#e6e9ed;--soft:#9aa5b1;--edge:#3a414a;--warn:#ffb861}}"
    "body{margin:0 auto;padding:1rem;max-width:60rem;background:var(--back);color:var(--ink);"
    "font:16px/1.5 system-ui,sans-serif}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}"
    "p.soft,figcaption{color:var(--soft)}p.warn{color:var(--warn);font-weight:600}"
    ".wide{overflow-x:auto}table{border-collapse:collapse;font-size:.875rem;font-variant-numeric:tabular-nums}"
    "th,td{padding:.3rem .6rem;border-bottom:1px solid var(--edge);text-align:right;white-space:nowrap}"
    "th:first-child,td:first-child,.words th,.words td{text-align:left}.words td:last-child{white-space:normal}"
    "figure{margin:2rem 0;overflow-x:auto}svg{width:100%;min-width:26rem;height:auto;display:block}" + _SHAPES
)


def to_html(report: Report) -> str:
    """One page: warnings, plots, tables, notes."""
    title = html.escape(report.title)
    figures = [f"<figure><figcaption>{html.escape(d.title)}</figcaption>\n{d.svg()}</figure>" for d in plots(report)]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"/>',
            '<meta name="viewport" content="width=device-width, initial-scale=1"/>',
            f"<title>{title}</title><style>{_STYLE}</style></head><body>",
            f'<h1>{title}</h1>\n<p class="soft">{html.escape(_subtitle(report))}</p>',
            *(f'<p class="warn">Warning: {html.escape(warning)}.</p>' for warning in report.warnings),
            *figures,
            *(table.html() for table in tables(report)),
            *(f'<p class="soft">{html.escape(note)}.</p>' for note in notes(report)),
            "</body></html>\n",
        ]
    )


def to_markdown(report: Report, picture: str | None = None) -> str:
    """The tables as Markdown; ``picture`` is the address of the plot."""
    parts = [f"# {report.title}", _subtitle(report)]
    parts += [f"> **Warning:** {warning}." for warning in report.warnings]
    if picture is not None:
        parts.append(f"![{overview(report).title}]({picture})")
    parts += [table.markdown().rstrip() for table in tables(report)]
    parts += [note.replace("*", "\\*", 1) + "." for note in notes(report)]
    return "\n\n".join(parts) + "\n"


def print_report(report: Report, console: Console) -> None:
    """The tables on a terminal."""
    console.print(report.title, style="bold", markup=False)
    console.print(_subtitle(report), style="dim", markup=False)
    for table in tables(report):
        console.print(table.rich())
    for note in notes(report):
        console.print(note + ".", style="dim", markup=False)


def claim_files(folder: Path, exist_ok: bool) -> None:
    """Look, before anything is measured, whether the files may be written.

    Raises:
        OutputError: one of them exists, or the folder cannot be written.
    """
    for name in FILES:
        claim(folder / name, exist_ok)


def write_report(report: Report, folder: Path, exist_ok: bool) -> list[Path]:
    """Write :data:`FILES`, each whole or not at all.

    Raises:
        OutputError: see :func:`sal_runtime.atomic.aside`.
    """
    texts = (report.to_json(), to_markdown(report, FILES[3]), to_html(report), overview(report).svg(_SHAPES))
    for name, text in zip(FILES, texts, strict=True):
        with aside(folder / name, exist_ok) as partial:
            partial.write_text(text, encoding="utf-8")
    return [folder / name for name in FILES]


def _subtitle(report: Report) -> str:
    machine = report.machine
    packages = machine.get("packages", {})
    engines = [f"{n} {packages[n]}" for n in ("onnxruntime", "onnxruntime-gpu", "openvino", "torch") if n in packages]
    parts = [report.created, f"{machine.get('cpu', 'unknown processor')}, {machine.get('threads', '?')} processors"]
    return "; ".join([*parts, *machine.get("gpu", []), *engines])
