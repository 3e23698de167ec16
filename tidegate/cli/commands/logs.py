# SPDX-License-Identifier: Apache-2.0
"""`tidegate logs`: the logs of a service's instances."""

from dataclasses import dataclass

import click

from tidegate.cli import failures, options
from tidegate.cli.options import Scope
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key


@dataclass(frozen=True, slots=True)
class LineOptions:
    """Which lines to show."""

    follow: bool
    previous: bool
    tail: int | None


@click.command()
@click.argument("name", metavar="NAME", help="Service whose logs to show.")
@options.record(
    "lines",
    LineOptions,
    click.option("-f", "--follow", is_flag=True, help="Keep streaming, including from new instances."),
    click.option(
        "-p",
        "--previous",
        is_flag=True,
        help="Show earlier runs: the last run of restarted and of ended instances.",
    ),
    click.option(
        "--tail", type=options.WholeNumber(min=0), metavar="N", help="Show only the last N lines of each instance."
    ),
)
@click.option("--revision", default="", metavar="NAME", help="Show only instances of this revision.")
@options.scope
def logs(name: str, lines: LineOptions, revision: str, scope: Scope) -> None:
    """Show the logs of a service's instances. With several instances, each line begins with its instance.

    If no instance runs, the logs of the last ended instances are shown."""
    if lines.follow and lines.previous:
        raise failures.Misuse("--previous shows ended runs, which cannot be followed: leave out --follow")
    from tidegate.cli import instance_logs

    requested = LogOptions(follow=lines.follow, previous=lines.previous, tail_lines=lines.tail)
    instance_logs.show(Key(scope.namespace, name), revision, requested, scope.data_dir)
