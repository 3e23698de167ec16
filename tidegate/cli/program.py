# SPDX-License-Identifier: Apache-2.0
"""The program `tidegate`: its commands by name, each loaded when it is asked for.

In: arguments. Out: an exit code. Who: `cli.main`. The list of commands is here so that help and completion load none.
"""

import importlib
import sys
from typing import Any, NamedTuple, NoReturn, cast

import click

from tidegate.cli import extensions, problems
from tidegate.model import errors


class Listed(NamedTuple):
    """A command before it is loaded: its module in `cli.commands`, and what the list of commands says about it."""

    module: str
    help: str


COMMANDS = {
    "up": Listed("lifecycle", "Start Tidegate."),
    "down": Listed("lifecycle", "Stop Tidegate, its gateway and all instances."),
    "service": Listed("service", "Run Tidegate as a service of systemd."),
    "status": Listed("status", "Show what runs."),
    "deploy": Listed("deploying", "Run an app from its source."),
    "traffic": Listed("traffic", "Split a service's traffic between its revisions."),
    "logs": Listed("logs", "Show what a service's instances write."),
    "explain": Listed("explaining", "Show how revisions are scaled and why."),
    "simulate": Listed("simulating", "Show how a revision would be scaled under a load."),
    "apply": Listed("applying", "Create or change objects so that they are as files say."),
    "get": Listed("getting", "Show objects of any kind."),
    "delete": Listed("deleting", "Delete objects, and with them what they own."),
    "build": Listed("building", "Make a bundle of an app and print the image that names it."),
    "demo": Listed("demo", "Show the main job."),
    "completion": Listed("completion", "Print a script that completes commands and options in a shell."),
    "version": Listed("version", "Print the version."),
}


class Program(click.Group):
    """The root of all commands, where their failures end."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *(name for name in extensions.commands() if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return extensions.commands().get(cmd_name)
        module = importlib.import_module(f"tidegate.cli.commands.{COMMANDS[cmd_name].module}")
        return cast(click.Command, getattr(module, cmd_name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, listed.help) for name, listed in COMMANDS.items()])
        if brought := extensions.commands():
            with formatter.section("Commands of extensions"):
                formatter.write_dl([(name, command.get_short_help_str()) for name, command in brought.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(problems.INTERRUPTED)
        except (click.ClickException, problems.Problem, errors.ApiError, OSError, BaseExceptionGroup) as error:
            ctx.exit(problems.reported(error))

    def main(self, *args: Any, **options: Any) -> NoReturn:
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except click.ClickException as error:  # about options of the program itself
            code = problems.reported(error)
        except click.Abort:  # Ctrl-C while arguments are read
            code = problems.INTERRUPTED
        sys.exit(code or 0)


@click.group(cls=Program)
def app() -> None:
    """The Knative Serving API on one machine: Envoy in front, scale to zero, traffic splits, no cluster."""
