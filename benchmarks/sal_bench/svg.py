"""A small way of drawing plots as SVG, so that a page needs nothing from anywhere.

Colours are CSS classes (``c0`` … and ``ink``, ``faint``), which the page defines for light and dark.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

WIDTH = 600
"""Units across; the page scales them."""
COLOURS = 16
"""Classes ``c0`` to ``c15``."""


@dataclass
class Axis:
    """A scale between values and places, linear or logarithmic."""

    low: float
    high: float
    start: float
    """Where ``low`` is drawn."""
    end: float
    """Where ``high`` is drawn."""
    log: bool = False
    """Whether equal factors are equally far apart; then ``low`` is above 0."""

    def at(self, value: float) -> float:
        """The place of a value, rounded to a tenth of a unit."""
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        place = ((math.log(value) if self.log else value) - low) / ((high - low) or 1.0)
        return round(self.start + place * (self.end - self.start), 1)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values within the scale, about ``count`` of them; 1, 2, 5, 10 … on a logarithmic one."""
        if self.log:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            marks = (round(step * 10.0**power, 10) for power in powers for step in (1, 2, 5))
            return [mark for mark in marks if self.low <= mark <= self.high]
        span = (self.high - self.low) or 1.0
        rough = span / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * 0.999)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [round(n * step, 10) for n in range(first, last + 1)]


@dataclass
class Drawing:
    """Shapes collected into one ``<svg>``."""

    title: str
    height: float
    width: float = WIDTH
    shapes: list[str] = field(default_factory=list)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "ink", wide: float = 1.0) -> None:
        """A straight line."""
        self.shapes.append(
            f'<line class="s {kind}" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke-width="{wide:g}"/>'
        )

    def path(self, points: Sequence[tuple[float, float]], kind: str, wide: float = 1.5) -> None:
        """A line through points."""
        if points:
            steps = "M" + "L".join(f"{x:g} {y:g}" for x, y in points)
            self.shapes.append(f'<path class="s {kind}" d="{steps}" fill="none" stroke-width="{wide:g}"/>')

    def dots(self, points: Sequence[tuple[float, float]], kind: str, size: float = 2.4) -> None:
        """A dot at each point, all in one path."""
        if points:
            steps = "".join(f"M{x:g} {y:g}h0" for x, y in points)
            self.shapes.append(
                f'<path class="s {kind}" d="{steps}" fill="none" stroke-width="{size:g}" stroke-linecap="round"/>'
            )

    def bar(self, x: float, y: float, width: float, height: float, kind: str, tip: str) -> None:
        """A filled rectangle; ``tip`` shows where a mouse rests."""
        self.shapes.append(
            f'<rect class="f {kind}" x="{x:g}" y="{y:g}" width="{max(width, 0.0):g}" height="{height:g}">'
            f"<title>{html.escape(tip)}</title></rect>"
        )

    def text(self, x: float, y: float, words: str, anchor: str = "start", kind: str = "ink") -> None:
        """Words; ``anchor`` is start, middle or end."""
        self.shapes.append(
            f'<text class="f {kind}" x="{x:g}" y="{y:g}" text-anchor="{anchor}">{html.escape(words)}</text>'
        )

    def bottom_axis(self, axis: Axis, y: float, unit: str, top: float) -> None:
        """Ticks, their values and faint lines upwards."""
        for tick in axis.ticks():
            place = axis.at(tick)
            self.line(place, top, place, y, "faint")
            self.text(place, y + 14, f"{tick:g}", "middle")
        self.line(axis.start, y, axis.end, y)
        self.text(axis.end, y + 28, unit, "end", "soft")

    def left_axis(self, axis: Axis, x: float, unit: str, right: float) -> None:
        """Ticks, their values and faint lines to the right."""
        for tick in axis.ticks():
            place = axis.at(tick)
            self.line(x, place, right, place, "faint")
            self.text(x - 5, place + 4, f"{tick:g}", "end")
        self.line(x, axis.start, x, axis.end)
        self.text(4, axis.end - 8, unit, "start", "soft")

    def legend(self, names: Sequence[str], y: float, x: float = 8.0) -> None:
        """A line a name, each with its colour."""
        for number, name in enumerate(names):
            place = y + 16 * number
            self.bar(x, place - 8, 10, 8, colour(number), name)
            self.text(x + 16, place, name)

    def svg(self, style: str = "") -> str:
        """The element; with ``style`` it can stand alone in a file."""
        alone = ' xmlns="http://www.w3.org/2000/svg"' if style else ""
        sheet = f"<style>{style}</style>" if style else ""
        title = html.escape(self.title)
        return (
            f'<svg{alone} viewBox="0 0 {self.width:g} {self.height:g}" role="img" aria-label="{title}">'
            f"{sheet}<title>{title}</title>\n" + "\n".join(self.shapes) + "\n</svg>"
        )


def colour(number: int) -> str:
    """The class of the n-th contestant."""
    return f"c{number % COLOURS}"
