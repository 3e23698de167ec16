# SPDX-License-Identifier: Apache-2.0
"""The output of every benchmark: a table with a row per figure, and its bound if one is promised."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass
class Figures:
    """Rows of one benchmark. `within` is None where a figure has no bound."""

    title: str
    rows: list[tuple[str, str, str, bool | None]] = field(default_factory=list)

    def add(
        self, what: str, value: float, unit: str = "", *, most: float | None = None, least: float | None = None
    ) -> None:
        """Add a figure; `most` and `least` are the promised bounds, in the same unit."""
        bounds = [f"{sign} {bound:g}" for sign, bound in (("<=", most), (">=", least)) if bound is not None]
        within = None if not bounds else (most is None or value <= most) and (least is None or value >= least)
        self.rows.append((what, f"{value:.3g} {unit}".strip(), " ".join(bounds), within))

    @property
    def held(self) -> bool:
        return all(within is not False for *_, within in self.rows)

    def show(self) -> None:
        table = Table(title=self.title, title_justify="left")
        for column in ("figure", "measured", "bound", ""):
            table.add_column(column)
        for what, value, bound, within in self.rows:
            table.add_row(what, value, bound, {None: "", True: "[green]held[/]", False: "[red]missed[/]"}[within])
        Console().print(table)


def percentile(values: Sequence[float], percent: float) -> float:
    """The value that `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent * len(ordered) / 100) - 1)]
