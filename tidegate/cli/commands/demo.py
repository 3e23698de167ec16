# SPDX-License-Identifier: Apache-2.0
"""`tidegate demo`: the main job, end to end, on real input."""

import click

from tidegate.cli import options, problems


@click.command()
@click.option(
    "--requests",
    type=options.Whole(min=100),
    default=6000,
    metavar="N",
    show_default=True,
    help="How many requests to send.",
)
def demo(requests: int) -> None:
    """Show the main job: deploy, split, load, scale to zero, wake up. Takes about a minute, leaves nothing behind."""
    from tidegate.cli import demonstration

    with problems.interruptible(lambda: "the demo's Tidegate was stopped and removed"):
        demonstration.show(requests)
