# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments -> a call of the API -> a few printed lines. The commands are in `commands/`.

A command finds its Tidegate by the state folder (`--data-dir`, $TIDEGATE_HOME), whose kubeconfig leads to the API; so
everything it does, kubectl could do as well. What fails says so in one line on stderr and exits with 1, wrong usage
with 2.
"""

import typer

from tidegate.cli import problems
from tidegate.cli.commands import (
    applying,
    building,
    deleting,
    demo,
    deploying,
    explaining,
    getting,
    lifecycle,
    logs,
    simulating,
    status,
    traffic,
)

app = typer.Typer(
    cls=problems.Commands,
    name="tidegate",
    help="The Knative Serving API on one machine: Envoy in front, scale to zero, traffic splits, no cluster.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

for command in (
    lifecycle.up,
    lifecycle.down,
    status.status,
    deploying.deploy,
    traffic.traffic,
    logs.logs,
    explaining.explain,
    simulating.simulate,
    applying.apply,
    getting.get,
    deleting.delete,
    building.build,
    demo.demo,
    lifecycle.version,
):
    app.command()(command)


def main() -> None:
    """The entry point of `tidegate` and of `python -m tidegate`."""
    app(prog_name="tidegate")
