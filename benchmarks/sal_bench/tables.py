"""A table as data, and its three prints: for a terminal, as Markdown, as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import rich.box
import rich.table
from rich.text import Text

_NAME = 18
"""Least width of the first column on a terminal."""


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column is a name, the others are numbers unless ``words`` says otherwise."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: bool = False
    """Whether all columns are text, to be set at the left."""

    def rich(self) -> rich.table.Table:
        """For a terminal."""
        table = rich.table.Table(
            title=self.title, title_justify="left", title_style="bold", box=rich.box.SIMPLE_HEAD, pad_edge=False
        )
        for number, name in enumerate(self.header):
            side: Literal["left", "right"] = "left" if number == 0 or self.words else "right"
            table.add_column(name, justify=side, overflow="fold", min_width=_NAME if number == 0 else None)
        for row in self.rows:
            table.add_row(*map(Text, row))
        return table

    def markdown(self) -> str:
        """As Markdown, its title a heading."""
        marks = ["---" if number == 0 or self.words else "---:" for number in range(len(self.header))]
        lines = [_line(self.header), _line(marks), *map(_line, self.rows)]
        return f"## {self.title}\n\n" + "\n".join(lines) + "\n"

    def html(self) -> str:
        """As HTML; a wide one scrolls by itself."""
        kind = ' class="words"' if self.words else ""
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self.header)
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>\n" for row in self.rows
        )
        return (
            f"<h2>{html.escape(self.title)}</h2>\n"
            f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n'
        )


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
