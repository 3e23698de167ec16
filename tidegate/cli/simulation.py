# SPDX-License-Identifier: Apache-2.0
"""How the autoscaler would scale a revision under a load, without deploying anything.

In: a CSV file of a load, and the revision's annotations. Out: load, waiting requests, desired and ready instances over
time, in the terminal, as JSON or as a picture. Called by: `tidegate simulate`. It is `autoscaler.simulate`, the code
that scales; no Tidegate needs to run, and the ConfigMaps count as untouched.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import click
from rich.console import Console

from tidegate.autoscaler import bounds, classes
from tidegate.autoscaler.annotations import Annotations
from tidegate.autoscaler.bounds import RPS
from tidegate.autoscaler.policies import AnyPolicy, Checking
from tidegate.autoscaler.simulation import Moment, simulate
from tidegate.cli import chart, failures, png, printing, traces
from tidegate.cli.chart import Panel, PlotLine
from tidegate.cli.failures import CommandFailure, Misuse
from tidegate.cli.options import Output
from tidegate.model import autoscaling, names
from tidegate.model.config import Configs
from tidegate.model.objects import Object

_MOST = 10_000  # instances, more than one machine can run
_STEP = 1.0  # seconds between moments
_HEIGHT = 4  # rows of each quantity
_WIDEST = 100
_MARGIN = 22  # columns beside the plot


@dataclass(frozen=True, slots=True)
class Summary:
    """A simulation in numbers."""

    seconds: float
    instances_most: int
    instances_mean: float
    started: int  # instances
    waiting_most: float  # requests
    waiting_mean: float
    seconds_with_waiting: float
    seconds_at_zero: float


@dataclass(frozen=True, slots=True)
class SimulatedRevision:
    """The revision to simulate. `metric`: the unit of the load; `start_seconds`: until an instance is ready."""

    annotations: Mapping[str, str]
    metric: str
    container_concurrency: int
    start_seconds: float


def show(filename: str, revision: SimulatedRevision, output: Output, out: Path | None) -> None:
    """Print a simulation, and draw it into a file."""
    if out is not None and out.suffix not in (".svg", ".png"):
        raise Misuse(f"--out draws SVG and PNG: {out} ends in neither .svg nor .png")
    moments = _moments(filename, revision)
    panels, summary = _panels(moments, revision.metric), summary_of(moments)
    if output is Output.JSON:
        click.echo(printing.json_text(_json(moments)))
    else:
        _print(panels, summary, moments[0].time)
    if out is not None:
        picture = chart.svg("Simulated scaling", panels, summary.seconds)
        out.write_bytes(png.png(picture) if out.suffix == ".png" else picture.encode())
        failures.remark(f"drawn into {out}")


def _moments(filename: str, revision: SimulatedRevision) -> list[Moment]:
    policy = _policy(revision.annotations)
    moments = []
    for moment in simulate(
        traces.read(filename),
        revision.annotations,
        container_concurrency=revision.container_concurrency,
        start_seconds=revision.start_seconds,
        step=_STEP,
        policy=policy,
    ):
        if moment.scale > _MOST:
            raise CommandFailure(
                f"at {moment.time:g} s the scale would be {moment.scale}; the limit of the simulation is {_MOST}"
            )
        moments.append(moment)
    return moments


def _policy(annotations: Mapping[str, str]) -> AnyPolicy:
    """The policy of the revision's class. Raises `Misuse` if admission would reject the annotations."""
    configs = Configs()
    wrong = [str(problem) for problem in autoscaling.problems(annotations, configs.autoscaler) if not problem.warning]
    if wrong:
        raise Misuse("; ".join(wrong))
    revision: Object = {"metadata": {"annotations": annotations}}
    found = classes.installed(failed=_warn)
    scaler = bounds.class_of(revision, configs)
    if isinstance(policy := found.get(scaler), Checking) and (wrong := list(map(str, policy.problems(annotations)))):
        raise Misuse("; ".join(wrong))
    given = Annotations(revision)
    for name in ("min-scale", "initial-scale", "activation-scale"):
        if (given.whole(name) or 0) > _MOST:
            raise Misuse(f"{name}: the limit of the simulation is {_MOST} instances")
    if scaler == names.HPA:
        raise Misuse(f"the class {scaler} scales by the resource usage of instances, which a load does not contain")
    if policy is None:
        raise Misuse(f"there is no class {scaler}; there are {', '.join(sorted(found))}")
    return policy


def _warn(name: str, error: BaseException) -> None:
    failures.remark(f"Warning: the class {name} cannot be loaded: {type(error).__name__}: {error}")


def summary_of(moments: Sequence[Moment]) -> Summary:
    """`moments`: the moments of a simulation, at least one, one step apart."""
    return Summary(
        seconds=(len(moments) - 1) * _STEP,
        instances_most=max(moment.ready for moment in moments),
        instances_mean=sum(moment.ready for moment in moments) / len(moments),
        started=moments[0].scale + sum(max(after.scale - before.scale, 0) for before, after in pairwise(moments)),
        waiting_most=max(moment.waiting for moment in moments),
        waiting_mean=sum(moment.waiting for moment in moments) / len(moments),
        seconds_with_waiting=sum(moment.waiting > 0 for moment in moments) * _STEP,
        seconds_at_zero=sum(moment.scale == 0 for moment in moments) * _STEP,
    )


def _json(moments: Sequence[Moment]) -> Object:
    summary = asdict(summary_of(moments))
    return {
        "summary": {_camel_case(name): value for name, value in summary.items()},
        "moments": [
            {
                "seconds": moment.time,
                "load": moment.load,
                "waiting": moment.waiting,
                "desired": moment.desired,
                "wanted": moment.scale,
                "ready": moment.ready,
                "inPanic": moment.in_panic,
            }
            for moment in moments
        ],
    }


def _camel_case(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


def _panels(moments: Sequence[Moment], metric: str) -> list[Panel]:
    load = PlotLine("load", [moment.load for moment in moments], "#60a5fa", filled=True)
    waiting = PlotLine("waiting", [moment.waiting for moment in moments], "#dc2626")
    ready = PlotLine("ready", [moment.ready for moment in moments], "#34d399", filled=True)
    wanted = PlotLine("wanted", [moment.scale for moment in moments], "#1f2937")
    unit = "requests a second" if metric == RPS else "requests at a time"
    return [Panel(unit, [load, waiting]), Panel("instances", [ready, wanted])]


def _print(panels: Sequence[Panel], summary: Summary, first: float) -> None:
    console = Console(highlight=False, markup=False)
    width = max(min(console.width, _WIDEST) - _MARGIN, 1)
    for panel in panels:
        console.print(panel.title, style="bold")
        for line in panel.curves:
            rows = chart.blocks(line.values, width, _HEIGHT, panel.most)
            margins = [f"{line.name:>9} {max(line.values):>8g} │", *[f"{'│':>20}"] * (_HEIGHT - 1)]
            for margin, row in zip(margins, rows, strict=True):
                console.print(f"{margin}{row.rstrip()}", no_wrap=True, overflow="crop")
        console.print()
    console.print(f"{first:g} s to {first + summary.seconds:g} s, from left to right; beside a name, its highest value")
    console.print(
        f"instances: {summary.instances_most} at most, {summary.instances_mean:.2f} on average,"
        f" {summary.started} started, none for {summary.seconds_at_zero:g} s"
    )
    console.print(
        f"waiting: {summary.waiting_most:g} at most, {summary.waiting_mean:.2f} on average,"
        f" some for {summary.seconds_with_waiting:g} s"
    )
