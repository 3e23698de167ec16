# SPDX-License-Identifier: Apache-2.0
"""`tidegate demo`: deploy, split, load, scale to zero and wake up, with a real Tidegate."""

import click

from tidegate.cli import failures, options


@click.command()
@click.option(
    "--requests",
    type=options.WholeNumber(min=100),
    default=6000,
    metavar="N",
    show_default=True,
    help="Number of requests to send.",
)
def demo(requests: int) -> None:
    """Show the main job: deploy, split, load, scale to zero, wake up. Takes about a minute, leaves nothing behind."""
    from tidegate.cli import demonstration

    with failures.interruptible(lambda: "the demo's Tidegate was stopped and removed"):
        demonstration.show(requests)
