# SPDX-License-Identifier: Apache-2.0
"""The waiting time that the class `predictive` saves: KPA and predictive under the same load, in virtual time.

In: a recorded load (`traces/README.md`), three weeks to learn from and three days to serve, and an invented one that
is zero at night. Out: for each, requests that wait, their waiting time, and the instance-hours that are paid for it;
with `--svg FILE` a picture of one morning. It uses `autoscaler/simulation.py`, and so the code that scales.

Requests last `LASTS` seconds each, so that a request a second is ten at a time; the simulation counts them as ten that
last one. A request waits as long as the ready instances need for the requests before it (Little's law), or until the
next instance is ready.
"""

import bz2
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from rich.console import Console
from rich.table import Table
from tidegate_predictive.fitting import fit
from tidegate_predictive.history import Bin, Series
from tidegate_predictive.model import BIN
from tidegate_predictive.policy import Predictive

from bench.table import Figures
from tidegate.autoscaler.kpa import Kpa
from tidegate.autoscaler.policies import AnyPolicy, PolicyContext
from tidegate.autoscaler.simulation import Moment, simulate
from tidegate.cli import chart
from tidegate.cli.chart import Panel, PlotLine
from tidegate.kit.clock import VirtualClock
from tidegate.model.objects import Key

TRACES = Path(__file__).parent / "traces"
LASTS = 10
CONCURRENCY = 10
START = 20.0  # seconds until an instance is ready
SERVED_FROM = datetime(1995, 7, 24, tzinfo=UTC)  # the server's own time counts as UTC
MORNING = slice(7 * 3600, 11 * 3600)


@dataclass(frozen=True)
class Load:
    """Arrivals: in five minutes of the weeks before, in a second of the days to serve."""

    name: str
    before: Sequence[float]
    days: Sequence[int]


@dataclass(frozen=True)
class Outcome:
    """How one class served the days."""

    name: str
    moments: Sequence[Moment]
    waits: Sequence[float]  # seconds, of each request

    @property
    def instance_hours(self) -> float:
        return sum(moment.scale for moment in self.moments) / 3600


def recorded() -> Load:
    """The web server of the Kennedy Space Center."""
    before = [float(count) for count in (TRACES / "ksc-1995-before.txt").read_text().split()]
    return Load("recorded: NASA KSC, July 1995", before, bz2.decompress((TRACES / "ksc-1995-days.bz2").read_bytes()))


def invented() -> Load:
    """An office: none at night, all within a minute at nine, half as many on the last two days of a week."""

    def rate(second: int) -> int:
        day, slot = second // 86400 % 7, second % 86400
        if not 9 * 3600 <= slot < 17 * 3600:
            return 0
        busy = min((slot - 9 * 3600) / 60, 1.0) * (6 if day < 5 else 3)
        return int(busy) + (second * 7919 % 100 < busy % 1 * 100)

    week = [rate(second) for second in range(7 * 86400)]
    bins = [float(sum(week[at : at + 300])) for at in range(0, len(week), 300)]
    return Load("invented: office hours", bins * 3, week[: 2 * 86400])


def series_of(load: Load) -> Series:
    made, begin = Series(), int(SERVED_FROM.timestamp() // BIN) - len(load.before)
    for place, count in enumerate(load.before):
        made.append(Bin(begin + place, BIN, count * LASTS, count * LASTS))
    return made


def predictive(load: Load) -> AnyPolicy:
    policy = Predictive(PolicyContext(clock=VirtualClock(0.0, SERVED_FROM)), fit)
    policy.learner.seed(Key("default", "simulated"), series_of(load))
    return policy


def serve(name: str, load: Load, policy: AnyPolicy, annotations: Mapping[str, str] = MappingProxyType({})) -> Outcome:
    trace = list(at_a_time(load.days))
    moments = list(simulate(trace, annotations, container_concurrency=CONCURRENCY, start_seconds=START, policy=policy))
    waits = [wait for second, wait in enumerate(waits_of(moments)) for _ in range(load.days[second])]
    return Outcome(name, moments, waits)


def at_a_time(arrivals: Sequence[int]) -> Iterator[tuple[float, float]]:
    """The number of concurrent requests in each second, if each lasts `LASTS`."""
    there = 0
    for second, came in enumerate(arrivals):
        there += came - (arrivals[second - LASTS] if second >= LASTS else 0)
        yield float(second), float(there)


def waits_of(moments: Sequence[Moment]) -> list[float]:
    """The waiting time of the requests of each second, computed from the last second to the first."""
    waits: list[float] = []
    for moment in reversed(moments):
        if not moment.waiting:
            waits.append(0.0)
        elif moment.ready:
            waits.append(moment.waiting / (moment.ready * CONCURRENCY / LASTS))
        else:
            waits.append(1.0 + (waits[-1] if waits else 0.0))
    return waits[::-1]


def outcomes(load: Load) -> list[Outcome]:
    """KPA as it is, predictive, and KPA with more room at all times."""
    roomy = {"autoscaling.knative.dev/target-utilization-percentage": "60"}
    return [
        serve("kpa", load, Kpa()),
        serve("predictive", load, predictive(load)),
        serve("kpa, 60 % utilisation", load, Kpa(), roomy),
    ]


def table_of(load: Load, found: Sequence[Outcome]) -> Table:
    table = Table(
        title=f"{load.name}: {sum(load.days)} requests in {len(load.days) // 86400} days", title_justify="left"
    )
    for column in ("class", "waited", "waiting, sum", "of all, p99", "of all, p99.9", "longest", "instance-hours"):
        table.add_column(column, justify="left" if column == "class" else "right")
    for each in found:
        ordered = sorted(each.waits)
        table.add_row(
            each.name,
            str(sum(wait > 0 for wait in ordered)),
            f"{sum(ordered):.0f} s",
            *(f"{ordered[int(share * len(ordered))]:.2f} s" for share in (0.99, 0.999)),
            f"{ordered[-1]:.1f} s",
            f"{each.instance_hours:.0f}",
        )
    return table


def picture(found: Sequence[Outcome]) -> str:
    """Monday morning under KPA and under predictive."""
    panels = [
        Panel(
            f"{each.name}: requests at a time",
            [
                PlotLine("load", [moment.load for moment in each.moments[MORNING]], "#60a5fa", filled=True),
                PlotLine("places", [moment.ready * CONCURRENCY for moment in each.moments[MORNING]], "#1f2937"),
                PlotLine("waiting", [moment.waiting for moment in each.moments[MORNING]], "#dc2626"),
            ],
        )
        for each in found
    ]
    return chart.svg("A Monday morning from seven to eleven", panels, MORNING.stop - MORNING.start)


def main() -> Figures:
    """The bound: under the recorded load predictive leaves at most half of KPA's waiting time."""
    figures = Figures("The class predictive")
    for load in (recorded(), invented()):
        found = outcomes(load)
        Console(width=120).print(table_of(load, found))
        kpa, ahead = (sum(found[place].waits) for place in (0, 1))
        figures.add(f"{load.name}: waiting time left of KPA's", 100 * ahead / kpa, "%", most=50)
        if len(sys.argv) > 2 and sys.argv[1] == "--svg" and load.name.startswith("recorded"):
            Path(sys.argv[2]).write_text(picture(found[:2]), encoding="utf-8")
    return figures


if __name__ == "__main__":
    main().show()
