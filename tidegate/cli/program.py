# SPDX-License-Identifier: Apache-2.0
"""The program `tidegate`: its commands by name; a command's module is imported when the command runs.

In: arguments. Out: an exit code. Called by: `cli.main`. The help of the commands is here, so that `--help` and
completion import none of them.

A key NAME of `COMMANDS` is also the name of the module, `cli/commands/NAME.py` with "_" for "-", and of the click
command in it. The docstring of the command begins with its text (tested).
"""

import importlib
import sys
from typing import Any, NoReturn, cast

import click

from tidegate.cli import extensions, failures
from tidegate.model import errors

COMMANDS = {
    "up": "Start Tidegate.",
    "down": "Stop Tidegate, its gateway and all instances.",
    "service": "Run Tidegate as a systemd service.",
    "status": "Show the state of control plane, gateway, API and services.",
    "doctor": "Check whether this host has the programs and kernel features that Tidegate uses.",
    "deploy": "Run an app from its source or an OCI image.",
    "traffic": "Split a service's traffic between its revisions.",
    "logs": "Show the logs of a service's instances.",
    "exec": "Run a program in a running instance.",
    "port-forward": "Forward ports of this machine to a running instance, until Ctrl-C.",
    "explain": "Show how revisions are scaled and why.",
    "simulate": "Show how a revision would be scaled under a load.",
    "apply": "Create or change objects so that they match files.",
    "get": "Show objects of any kind.",
    "delete": "Delete objects and their dependents.",
    "build": "Build an app and print the image that names it.",
    "image": "Load, pull, list, save, push and remove images.",
    "demo": "Show the main job.",
    "completion": "Print a script that completes commands and options in a shell.",
    "version": "Print the version.",
}


class RootGroup(click.Group):
    """The group of all commands. It reports their failures."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS, *(name for name in extensions.commands() if name not in COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return extensions.commands().get(cmd_name)
        name = cmd_name.replace("-", "_")
        module = importlib.import_module(f"tidegate.cli.commands.{name}")
        return cast(click.Command, getattr(module, name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchCommand as error:
            raise click.NoSuchCommand(error.command_name, possibilities=self.list_commands(ctx), ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        if added := extensions.commands():
            with formatter.section("Commands of extensions"):
                formatter.write_dl([(name, command.get_short_help_str()) for name, command in added.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(failures.INTERRUPTED)
        except (click.ClickException, failures.CommandFailure, errors.ApiError, OSError, BaseExceptionGroup) as error:
            ctx.exit(failures.reported(error))

    def main(self, *args: Any, **options: Any) -> NoReturn:
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except click.ClickException as error:  # for options of the program itself
            code = failures.reported(error)
        except click.Abort:  # Ctrl-C while arguments are read
            code = failures.INTERRUPTED
        sys.exit(code or 0)


@click.group(cls=RootGroup)
def app() -> None:
    """The Knative Serving API on one machine: Envoy in front, scale to zero, traffic splits, no cluster."""
