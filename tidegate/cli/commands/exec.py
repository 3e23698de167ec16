# SPDX-License-Identifier: Apache-2.0
"""`tidegate exec`: a program in a running instance."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass

import click

from tidegate.cli import failures, options
from tidegate.cli.connection import connected, run
from tidegate.cli.options import Scope


@dataclass(frozen=True, slots=True)
class ExecOptions:
    """The files of the program, and the container to run it in ("": the default one)."""

    stdin: bool
    tty: bool
    container: str


@click.command()
@options.record(
    "wanted",
    ExecOptions,
    click.option("-i", "--stdin", is_flag=True, help="Send the command's standard input to the program."),
    click.option("-t", "--tty", is_flag=True, help="Give the program a terminal; needs -i to type into it."),
    click.option(
        "-c", "--container", default="", metavar="NAME", help="Container to run in.  [default: the first one]"
    ),
)
@options.scope
@click.argument("name", metavar="SERVICE|POD")
@click.argument("command", metavar="-- COMMAND [ARGUMENT]...", nargs=-1, required=True)
def exec(name: str, command: Sequence[str], wanted: ExecOptions, scope: Scope) -> None:  # noqa: A001
    """Run a program in a running instance.

    SERVICE stands for the newest ready instance of that service. The program has the user, the limits, the environment
    and the working directory of the app, and ends with this command. The exit code is that of the program."""
    has_terminal = wanted.tty and wanted.stdin and sys.stdin.isatty()
    if wanted.tty and not has_terminal:
        failures.remark("-t has no effect: it needs -i, and a terminal as standard input")
    click.get_current_context().exit(run(_exec(name, tuple(command), wanted, scope, has_terminal)))


async def _exec(name: str, program: tuple[str, ...], wanted: ExecOptions, scope: Scope, has_terminal: bool) -> int:
    from tidegate.cli import instances, remote_program
    from tidegate.client import sessions
    from tidegate.model.sessions import SessionOptions

    files = SessionOptions(stdin=wanted.stdin, stdout=True, stderr=not has_terminal, tty=has_terminal, command=program)
    async with connected(scope.data_dir) as cluster:
        pod = await instances.chosen(cluster, scope.namespace, name)
        async with sessions.program(cluster, pod, wanted.container, files) as running:
            return await remote_program.run(running, sends_input=wanted.stdin, has_terminal=has_terminal)
