# SPDX-License-Identifier: Apache-2.0
"""Rows as columns of plain text, as `kubectl get` prints them: headings in capitals, three spaces between. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tidegate.model.objects import Object

_GAP = "   "


class Rows(NamedTuple):
    """Headings, and rows of cells."""

    headings: Sequence[str]
    cells: Sequence[Sequence[str]]


def of_table(table: Object, definitions: Sequence[Object], *, wide: bool, namespaced: bool, prefix: str = "") -> Rows:
    """The rows of a `meta.k8s.io Table`. `namespaced`: with the namespace first; `prefix`: put before names."""
    shown = [place for place, column in enumerate(definitions) if wide or not column["priority"]]
    headings = [str(definitions[place]["name"]).upper() for place in shown]
    cells = [[_text(row["cells"][place]) for place in shown] for row in table["rows"]]
    names = [place for place, at in enumerate(shown) if definitions[at]["format"] == "name"]
    for row in cells:
        for place in names:
            row[place] = f"{prefix}{row[place]}"
    if not namespaced:
        return Rows(headings, cells)
    namespaces = [row["object"]["metadata"].get("namespace", "") for row in table["rows"]]
    return Rows(["NAMESPACE", *headings], [[space, *row] for space, row in zip(namespaces, cells, strict=True)])


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    first, newline, _ = str(cell).partition("\n")
    return f"{first}..." if newline else first


def aligned(lines: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of cells, each column as wide as its widest cell."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()


class Columns:
    """Rows that arrive one after another, e.g. of a watch: headings once, and no column gets narrower."""

    def __init__(self) -> None:
        self._widths: list[int] = []
        self._headings: Sequence[str] = ()

    def lines(self, rows: Rows) -> Iterator[str]:
        lines = rows.cells
        if list(rows.headings) != list(self._headings):
            self._headings = rows.headings
            self._widths = [0] * len(rows.headings)
            lines = [rows.headings, *lines]
        for line in lines:
            self._widths = [max(width, len(cell)) for width, cell in zip(self._widths, line, strict=True)]
        for line in lines:
            yield _GAP.join(cell.ljust(width) for cell, width in zip(line, self._widths, strict=True)).rstrip()
