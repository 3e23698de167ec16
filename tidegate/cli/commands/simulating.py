# SPDX-License-Identifier: Apache-2.0
"""`tidegate simulate`: what the autoscaler would do under a load, before anything is deployed."""

from collections.abc import Sequence
from pathlib import Path

import click

from tidegate.cli import options
from tidegate.cli.options import Output
from tidegate.model import names


@click.command()
@click.option("-f", "--filename", required=True, metavar="FILE", help="CSV of seconds,load, or - for stdin.")
@click.option("--target", type=float, metavar="N", help="Target value of the metric per instance.")
@click.option(
    "--metric",
    default="concurrency",
    metavar="concurrency|rps",
    show_default=True,
    help="What the load is in.",
)
@click.option(
    "--container-concurrency",
    type=options.Whole(min=0),
    default=0,
    metavar="N",
    help="The most requests an instance gets at once; 0: no bound.",
)
@click.option("--window", metavar="DURATION", help="The stable window, e.g. 60s.")
@click.option("--min-scale", type=int, metavar="N", help="The fewest instances.")
@click.option("--max-scale", type=int, metavar="N", help="The most instances; 0: no bound.")
@options.annotation
@click.option(
    "--start-seconds",
    type=options.SECONDS,
    default=1.0,
    metavar="SECONDS",
    show_default=True,
    help="How long an instance takes until it is ready.",
)
@options.output
@click.option("--out", type=options.FILE, metavar="FILE", help="Draw it into this file too: .svg or .png.")
def simulate(
    filename: str,
    target: float | None,
    metric: str,
    container_concurrency: int,
    window: str | None,
    min_scale: int | None,
    max_scale: int | None,
    annotation: Sequence[str],
    start_seconds: float,
    output: Output,
    out: Path | None,
) -> None:
    """Show how a revision would be scaled under a load, by the same code and without waiting."""
    from tidegate.cli import simulation

    named = {"target": target, "metric": metric, "window": window, "min-scale": min_scale, "max-scale": max_scale}
    given = {f"{names.AUTOSCALING}/{name}": str(value) for name, value in named.items() if value is not None}
    asked = simulation.Asked({**options.pairs(annotation), **given}, metric, container_concurrency, start_seconds)
    simulation.show(filename, asked, output, out)
