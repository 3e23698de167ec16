# SPDX-License-Identifier: Apache-2.0
"""Values over time as pictures: rows of blocks for a terminal, SVG for a page. Pure.

In: values at equal steps of time. Out: text. With more values than columns, each column shows the highest of its
values, so that no peak is lost. Called by: `tidegate simulate`, the bench.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise

from tidegate.cli.timeline import BLOCKS, NONE

_WIDTH, _PANEL, _GAP = 900, 200, 70
_LEFT, _RIGHT, _TOP = 70, 30, 70
_UNITS = ((7200.0, 3600.0, "h"), (300.0, 60.0, "min"), (0.0, 1.0, "s"))  # least seconds, size, sign


@dataclass(frozen=True, slots=True)
class PlotLine:
    """One quantity over time. `filled`: fill the area below it."""

    name: str
    values: Sequence[float]
    colour: str
    filled: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """Curves with a common scale."""

    title: str
    curves: Sequence[PlotLine]

    @property
    def most(self) -> float:
        return max((value for line in self.curves for value in line.values), default=0)


def columns(values: Sequence[float], width: int) -> list[float]:
    """At most `width` values; each is the highest of the values that it stands for."""
    count = min(width, len(values))
    return [max(values[at * len(values) // count : (at + 1) * len(values) // count]) for at in range(count)]


def blocks(values: Sequence[float], width: int, height: int, most: float) -> list[str]:
    """The values as bars of `height` rows of blocks, the top row first; full height is `most`.

    | value         | shown                           |
    | --- | --- |
    | 0             | a dot in the lowest row         |
    | above 0       | at least an eighth of a row     |
    """
    full = len(BLOCKS)
    bars = [max(1, int(value / most * height * full)) if value > 0 else 0 for value in columns(values, width)]
    rows = []
    for row in reversed(range(height)):
        empty = " " if row else NONE
        eighths = [min(max(bar - row * full, 0), full) for bar in bars]
        rows.append("".join(BLOCKS[count - 1] if count else empty for count in eighths))
    return rows


def ticks(most: float, count: int = 4) -> list[float]:
    """Round numbers from zero to the first that is not below `most`, in about `count` steps of 1, 2 or 5."""
    if most <= 0:
        return [0.0, 1.0]
    rough = most / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    return [number * step for number in range(math.ceil(round(most / step, 6)) + 1)]


def svg(title: str, panels: Sequence[Panel], seconds: float) -> str:
    """A picture of the panels, one below the other. `seconds`: the time that the values cover."""
    height = _TOP + len(panels) * (_PANEL + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="title"'
        ' font-family="system-ui, sans-serif" font-size="12">',
        f'<title id="title">{escape(title)}</title>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="{_LEFT}" y="30" font-size="16" fill="#111827">{escape(title)}</text>',
    ]
    for number, panel in enumerate(panels):
        parts.extend(_panel(panel, _TOP + number * (_PANEL + _GAP), seconds))
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: int, seconds: float) -> Iterator[str]:
    right, bottom = _WIDTH - _RIGHT, top + _PANEL
    levels = ticks(panel.most)
    yield f'<g stroke="#e5e7eb">{"".join(_level(bottom - _PANEL * level / levels[-1]) for level in levels)}</g>'
    yield f'<g fill="#6b7280" text-anchor="end">{"".join(_label(level, levels[-1], bottom) for level in levels)}</g>'
    yield f'<g fill="#6b7280" text-anchor="middle">{"".join(_times(seconds, bottom + 18))}</g>'
    yield f'<text x="{_LEFT}" y="{top - 12}" fill="#111827">{escape(panel.title)}</text>'
    for place, line in enumerate(panel.curves):
        yield _shape(line, levels[-1], bottom)
        yield _key(line, right - 110 * (len(panel.curves) - place), top - 12)


def _level(y: float) -> str:
    return f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'


def _label(level: float, highest: float, bottom: int) -> str:
    return f'<text x="{_LEFT - 8}" y="{bottom - _PANEL * level / highest + 4:.1f}">{level:g}</text>'


def _times(seconds: float, y: int) -> Iterator[str]:
    size, sign = next((size, sign) for least, size, sign in _UNITS if seconds >= least)
    for time in ticks(seconds / size, 8):
        if time * size <= seconds:
            x = _LEFT + (_WIDTH - _LEFT - _RIGHT) * (time * size / seconds if seconds else 0)
            yield f'<text x="{x:.1f}" y="{y}">{time:g} {sign}</text>'


def _key(line: PlotLine, x: int, y: int) -> str:
    return (
        f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{line.colour}"/>'
        f'<text x="{x + 16}" y="{y}" fill="#111827">{escape(line.name)}</text>'
    )


def _shape(line: PlotLine, highest: float, bottom: int) -> str:
    path = _path(columns(line.values, _WIDTH - _LEFT - _RIGHT), highest, bottom)
    if line.filled:
        return f'<path d="{path}V{bottom}H{_LEFT}Z" fill="{line.colour}" fill-opacity="0.5"/>'
    return f'<path d="{path}" fill="none" stroke="{line.colour}" stroke-width="1.5"/>'


def _path(values: Sequence[float], highest: float, bottom: int) -> str:
    """A staircase: each value holds until the next."""
    if not values:
        return f"M{_LEFT} {bottom}"
    wide = (_WIDTH - _LEFT - _RIGHT) / len(values)
    heights = [f"{bottom - _PANEL * value / highest:.1f}" for value in values]
    steps = [
        f"H{_LEFT + wide * place:.1f}V{after}"
        for place, (before, after) in enumerate(pairwise(heights), start=1)
        if before != after
    ]
    return f"M{_LEFT} {heights[0]}{''.join(steps)}H{_WIDTH - _RIGHT}"
