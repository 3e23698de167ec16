# SPDX-License-Identifier: Apache-2.0
"""`tidegate explain`: how a revision is scaled now, and why."""

import click

from tidegate.cli import options
from tidegate.cli.options import Output, Scope
from tidegate.model.objects import Key


@click.command()
@click.argument("name", metavar="NAME", help="Service or revision to explain.")
@options.output
@options.scope
def explain(name: str, output: Output, scope: Scope) -> None:
    """Show how revisions are scaled and why: the state of their autoscaler and its last decisions."""
    from tidegate.cli import explanation

    explanation.show(Key(scope.namespace, name), output, scope.data_dir)
