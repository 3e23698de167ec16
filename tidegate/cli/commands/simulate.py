# SPDX-License-Identifier: Apache-2.0
"""`tidegate simulate`: how the autoscaler would scale a revision under a load, without deploying anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click

from tidegate.cli import options
from tidegate.cli.options import Output
from tidegate.model import names


@dataclass(frozen=True, slots=True)
class ScalingOptions:
    """How the simulated revision is annotated."""

    target: float | None
    metric: str
    container_concurrency: int
    window: str | None
    min_scale: int | None
    max_scale: int | None
    annotation: Mapping[str, str]

    @property
    def annotations(self) -> dict[str, str]:
        named = {
            "target": self.target,
            "metric": self.metric,
            "window": self.window,
            "min-scale": self.min_scale,
            "max-scale": self.max_scale,
        }
        given = {f"{names.AUTOSCALING}/{name}": str(value) for name, value in named.items() if value is not None}
        return {**self.annotation, **given}


@click.command()
@click.option(
    "-f", "--filename", required=True, metavar="FILE", help="CSV file with the columns seconds,load, or - for stdin."
)
@options.record(
    "scaling",
    ScalingOptions,
    click.option(
        "--target",
        type=float,
        metavar="N",
        show_default="--container-concurrency if set, else 100; 200 for rps",
        help="Target value of the metric per instance.",
    ),
    click.option(
        "--metric",
        default="concurrency",
        metavar="concurrency|rps",
        show_default=True,
        help="Unit of the load: concurrent requests, or requests per second.",
    ),
    click.option(
        "--container-concurrency",
        type=options.WholeNumber(min=0),
        default=0,
        metavar="N",
        show_default=True,
        help="Maximum concurrent requests per instance; 0: no limit.",
    ),
    click.option("--window", metavar="DURATION", show_default="60s", help="Length of the stable window."),
    click.option("--min-scale", type=int, metavar="N", show_default="0", help="Minimum number of instances."),
    click.option(
        "--max-scale", type=int, metavar="N", show_default="0", help="Maximum number of instances; 0: no limit."
    ),
    options.annotation,
)
@click.option(
    "--start-seconds",
    type=options.SECONDS,
    default=1.0,
    metavar="SECONDS",
    show_default=True,
    help="Time from the start of an instance until it is ready, in seconds.",
)
@options.output
@click.option("--out", type=options.FILE, metavar="FILE", help="Also draw the result to this .svg or .png file.")
def simulate(filename: str, scaling: ScalingOptions, start_seconds: float, output: Output, out: Path | None) -> None:
    """Show how a revision would be scaled under a load, by the autoscaler's own code and without waiting."""
    from tidegate.cli import simulation

    simulated = simulation.SimulatedRevision(
        scaling.annotations, scaling.metric, scaling.container_concurrency, start_seconds
    )
    simulation.show(filename, simulated, output, out)
