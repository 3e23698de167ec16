# SPDX-License-Identifier: Apache-2.0
"""A load over time from a CSV file.

In: rows of seconds and load. Out: the trace for `autoscaler.simulation`. Called by: `tidegate simulate`.
"""

import csv
import sys
from collections.abc import Iterable
from pathlib import Path

from tidegate.cli.failures import CommandFailure
from tidegate.model.text import literals

HEADER = ["seconds", "load"]
LONGEST = 7 * 24 * 3600.0
"""The longest trace, in seconds."""

_LATEST = 1e10  # seconds, about 317 years
_HIGHEST = 1e6
_SHOWN = 40  # characters of a wrong value in a message

Trace = list[tuple[float, float]]


def read(name: str) -> Trace:
    """The trace in a file; "-": standard input."""
    if name == "-":
        return parsed("standard input", sys.stdin)
    with Path(name).open(newline="", encoding="utf-8-sig") as file:
        return parsed(name, file)


def parsed(source: str, lines: Iterable[str]) -> Trace:
    """The rows of a CSV file. A first row without numbers is a header; empty rows are skipped."""
    trace: Trace = []
    rows = csv.reader(lines, strict=True)
    try:
        filled = ([cell.strip() for cell in cells] for cells in rows if any(cell.strip() for cell in cells))
        for number, cells in enumerate(filled):
            if number or any(map(_is_number, cells)):
                trace.append(_row(cells, trace))
    except UnicodeDecodeError as error:
        raise CommandFailure(f"{source}: not a text file: {error.reason}") from error
    except (csv.Error, ValueError) as error:
        raise CommandFailure(f"{source}, row {rows.line_num}: {error}") from error
    if not trace:
        raise CommandFailure(f"{source} has no rows of {','.join(HEADER)}")
    return trace


def _row(cells: list[str], before: Trace) -> tuple[float, float]:
    if len(cells) != len(HEADER):
        raise ValueError(f"{len(cells)} columns, not the two of {','.join(HEADER)}")
    seconds, load = (_number(cell) for cell in cells)
    if abs(seconds) > _LATEST:
        raise ValueError(f"{cells[0]} is not a time in seconds")
    if not 0 <= load <= _HIGHEST:
        raise ValueError(f"a load is from 0 to {_HIGHEST:.0f}, not {cells[1]}")
    if before and seconds < before[-1][0]:
        raise ValueError(f"{cells[0]} is before the time of the row above")
    if before and seconds - before[0][0] > LONGEST:
        raise ValueError(f"{cells[0]} is more than a week after the first row")
    return seconds, load


def _is_number(cell: str) -> bool:
    try:
        literals.number(cell)
    except ValueError:
        return False
    return True


def _number(cell: str) -> float:
    try:
        return literals.number(cell)
    except ValueError as error:
        raise ValueError(f'"{cell[:_SHOWN]}" is not a number') from error
