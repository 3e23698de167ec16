# SPDX-License-Identifier: Apache-2.0
"""`tidegate explain`: how a revision is scaled now, and why."""

from pathlib import Path

import click

from tidegate.cli import options
from tidegate.cli.options import Output
from tidegate.model.objects import Key


@click.command()
@click.argument("name", metavar="NAME", help="A service, or a revision.")
@options.output
@options.namespace
@options.data_dir
def explain(name: str, output: Output, namespace: str, data_dir: Path | None) -> None:
    """Show how revisions are scaled and why: the state of their autoscaler and its last decisions."""
    from tidegate.cli import explanation

    explanation.show(Key(namespace, name), output, data_dir)
