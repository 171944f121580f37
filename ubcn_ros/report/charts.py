# Copyright 2026 The ubcn_ros authors
# SPDX-License-Identifier: Apache-2.0
"""Line charts as SVG inside of a page, whose style sheet gives them their colours."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 380, 240
_LEFT, _TOP, _BOTTOM = 46, 12, 40  # margins: numbers, none, axis
_CHARACTER = 6.4  # width of one in the names of lines, about
_COLORS = 6
"""Of lines, classes l0 to l5 of the style sheet."""
_NAME_HEIGHT = 14
_DOTS = 30  # most points of a line that are drawn as such


@dataclass(frozen=True)
class Line:
    """A line of a chart: its name, and its points, which are drawn from left to right."""

    name: str
    points: tuple[tuple[float, float], ...]
    dashed: bool = False


@dataclass(frozen=True)
class Chart:
    """
    A line chart.

    :param title: above it.
    :param x, y: what the axes are, with units.
    :param lines: of which those without a finite point are left out.
    :param note: below it, where something must be said.
    :param names: of x = 0, 1, ... where these stand for what is not a number.
    """

    title: str
    x: str
    y: str
    lines: tuple[Line, ...]
    note: str = ''
    names: tuple[str, ...] = ()

    def place(self, x: float) -> str:
        """Write an x as it is shown."""
        return self.names[int(x)] if self.names else number(x)

    @property
    def drawn(self) -> list[Line]:
        """The lines that have finite points, and those alone, by x."""
        finite = [Line(line.name, tuple(sorted(p for p in line.points
                                               if all(map(math.isfinite, p)))), line.dashed)
                  for line in self.lines]
        return [line for line in finite if line.points]

    @property
    def places(self) -> list[float]:
        """Every x that a line has a point at, in order."""
        return sorted({x for line in self.drawn for x, _ in line.points})

    def rows(self) -> list[tuple[str, list[str]]]:
        """Return the figures as text: of each line its name and a cell for every place."""
        return [(line.name, [number(dict(line.points).get(x)) for x in self.places])
                for line in self.drawn]

    def svg(self) -> str:
        """Draw what is ``drawn``: an image with title, description and figures of every point."""
        lines = self.drawn
        xs, ys = self.places, [y for line in lines for _, y in line.points]
        # a line alone needs no name
        names = [line.name if len(lines) > 1 else '' for line in lines]
        right = _WIDTH - 14 - min(130, round(_CHARACTER * max(map(len, names))))
        x_axis = _Axis(xs[0], xs[-1], _LEFT, right)
        y_ticks = ticks(min(ys), max(ys))
        y_axis = _Axis(y_ticks[0], y_ticks[-1], _HEIGHT - _BOTTOM, _TOP)
        parts = [*_grid(y_axis, y_ticks, right),
                 *_bottom(x_axis, [(x, self.place(x)) for x in self._shown(x_axis)], self.x)]
        ends = _apart([y_axis(line.points[-1][1]) for line in lines])
        for n, line in enumerate(lines):
            label = f'<text x="{right + 9}" y="{ends[n] + 4:g}">{escape(names[n])}</text>'
            parts.append(f'<g class="l{n % _COLORS}{" dashed" * line.dashed}">'
                         f'{self._drawn(line, x_axis, y_axis)}{label}</g>')
        told = '; '.join(f'{line.name}: ' + ', '.join(
            f'{number(y)} at {self.place(x)}' for x, y in line.points[:12]) for line in lines)
        return (f'<svg class="chart" role="img" viewBox="0 0 {_WIDTH} {_HEIGHT}">'
                f'<title>{escape(self.title)}</title>'
                f'<desc>{escape(f"{self.y} against {self.x}. {told}")}</desc>'
                + ''.join(parts) + '</svg>')

    def _shown(self, axis: _Axis) -> list[float]:
        """Return where the axis has numbers or names: of names every second one and so on."""
        xs = self.places
        if self.names:
            width = _CHARACTER * (2 + max(map(len, self.names)))
            return xs[::math.ceil(width * len(xs) / (axis.end - axis.start + width))]
        return xs if len(xs) <= 6 else [x for x in ticks(xs[0], xs[-1]) if xs[0] <= x <= xs[-1]]

    def _drawn(self, line: Line, x_axis: _Axis, y_axis: _Axis) -> str:
        """Draw a line, and a dot for each of its points where these are few."""
        places = [(x_axis(x), y_axis(y)) for x, y in line.points]
        dots = ''.join(
            f'<circle cx="{px}" cy="{py}" r="3.2"><title>{escape(line.name)}: {number(y)} '
            f'{escape(self.y)} at {escape(self.x)} {escape(self.place(x))}</title></circle>'
            for (px, py), (x, y) in zip(places, line.points, strict=True)) \
            if len(places) <= _DOTS else ''
        return f'<polyline points="{" ".join(f"{x:g},{y:g}" for x, y in places)}"/>{dots}'


@dataclass(frozen=True)
class _Axis:
    """Values low to high at pixels start to end; a single value in the middle."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.start + share * (self.end - self.start), 1)


def trace(points: Sequence[tuple[float, float]], width: float, low: float, high: float) -> str:
    """
    Draw values over time as the points of a polyline, 1000 wide and 100 high.

    :param points: seconds and value; those that are not finite leave no gap.
    :param width: seconds of the whole.
    :param low, high: values at the bottom and at the top.
    """
    x_axis, y_axis = _Axis(0, width, 0, 1000), _Axis(low, high, 97, 3)
    return ' '.join(f'{x_axis(x):g},{y_axis(y):g}' for x, y in points if math.isfinite(y))


def ticks(low: float, high: float) -> list[float]:
    """Return round numbers that span from below ``low`` to above ``high``, at even steps."""
    span = high - low
    if span < 1e-6 * max(1.0, abs(low), abs(high)):  # one value, but for rounding
        span = max(1e-3, abs(high))
    rough = span / 5
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(m * unit for m in (1, 2, 2.5, 5, 10) if m * unit >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    return [round(n * step, 10) for n in range(first, last + 1)]


def number(value: float | None, zeros: bool = False) -> str:
    """
    Write a number by three digits or more; '–' for none.

    :param zeros: keep those at its end, as beside other numbers of its kind.
    """
    if value is None or math.isnan(value):
        return '–'
    if math.isinf(value):
        return '∞' if value > 0 else '−∞'
    digits = min(4, max(0, 2 - math.floor(math.log10(abs(value))))) if value else 0
    text = f'{round(value, digits) or 0:.{digits}f}'  # 0 for -0.0
    if not zeros and '.' in text:
        text = text.rstrip('0').rstrip('.')
    return text.replace('-', '−')


def figure(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """
    Write a number by so many digits behind the point; '–' for none.

    :param sign: also of what is above 0.
    """
    if value is None or not math.isfinite(value):
        return number(value)
    if not round(value, digits):
        return f'{0:.{digits}f}'
    return f'{value:{"+" if sign else ""}.{digits}f}'.replace('-', '−')


def _apart(heights: Sequence[float]) -> list[float]:
    """Move labels at these heights so that none covers another, and keep their order."""
    order = sorted(range(len(heights)), key=lambda i: heights[i])
    placed = {i: heights[i] for i in order}
    for above, below in zip(order, order[1:], strict=False):
        placed[below] = max(placed[below], placed[above] + _NAME_HEIGHT)
    for i, limit in zip(reversed(order), range(_HEIGHT - _BOTTOM, -1000, -_NAME_HEIGHT),
                        strict=False):
        placed[i] = min(placed[i], limit)
    return [placed[i] for i in range(len(heights))]


def _grid(axis: _Axis, values: Sequence[float], right: float) -> Iterable[str]:
    step = values[1] - values[0]
    digits = next(n for n in range(11) if math.isclose(step, round(step, n), rel_tol=1e-6))
    for value in values:
        y = axis(value)
        yield (f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{y}" y2="{y}"/>'
               f'<text class="end" x="{_LEFT - 7}" y="{y + 4}">{figure(value, digits)}</text>')


def _bottom(axis: _Axis, values: Iterable[tuple[float, str]], name: str) -> Iterable[str]:
    for value, text in values:
        yield (f'<text class="middle" x="{axis(value)}" y="{_HEIGHT - _BOTTOM + 17}">'
               f'{escape(text)}</text>')
    yield (f'<text class="middle" x="{(axis.start + axis.end) / 2}" y="{_HEIGHT - 5}">'
           f'{escape(name)}</text>')
