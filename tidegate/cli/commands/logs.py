# SPDX-License-Identifier: Apache-2.0
"""`tidegate logs`: what a service's instances write."""

from pathlib import Path

import click

from tidegate.cli import options, problems
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key


@click.command()
@click.argument("name", metavar="NAME", help="The service.")
@click.option("-f", "--follow", is_flag=True, help="Keep streaming, including from new instances.")
@click.option("-p", "--previous", is_flag=True, help="Show the runs before: of restarted instances and of ended ones.")
@click.option("--tail", type=options.Whole(min=0), metavar="N", help="Show only the last N lines of each instance.")
@click.option("--revision", default="", metavar="NAME", help="Show only instances of this revision.")
@options.namespace
@options.data_dir
def logs(
    name: str, follow: bool, previous: bool, tail: int | None, revision: str, namespace: str, data_dir: Path | None
) -> None:
    """Show what a service's instances write; each line begins with its instance where there are several.

    Where no instance runs, the logs of those that ended last are shown."""
    if follow and previous:
        raise problems.Misuse("--previous shows runs that have ended, which cannot be followed: leave out --follow")
    from tidegate.cli import instance_logs

    asked = LogOptions(follow=follow, previous=previous, tail_lines=tail)
    instance_logs.show(Key(namespace, name), revision, asked, data_dir)
