# SPDX-License-Identifier: Apache-2.0
"""The options that several commands have, and what may stand behind them."""

import math
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import click

from tidegate.cli.problems import Misuse

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


class Whole(click.IntRange):
    name = "whole number"  # in errors, where click has "integer range"


class _Seconds(click.FloatRange):
    name = "number of seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


SECONDS = _Seconds(min=0)
FILE = click.Path(path_type=Path)
PORT = Whole(0, 65535)


class Output(StrEnum):
    """How to print what is for people first."""

    TABLE = "table"
    JSON = "json"


def choice(kinds: type[StrEnum]) -> click.Choice[StrEnum]:
    return click.Choice(kinds, case_sensitive=False)


data_dir: Decorator = click.option(
    "--data-dir",
    type=FILE,
    envvar="TIDEGATE_HOME",
    metavar="DIR",
    show_envvar=True,
    show_default="~/.tidegate",
    help="The state folder.",
)
namespace: Decorator = click.option(
    "-n", "--namespace", default="default", metavar="NAME", show_default=True, help="The namespace to work in."
)
namespace_of_files: Decorator = click.option(
    "-n", "--namespace", metavar="NAME", show_default="default", help="The namespace of objects that name none."
)
selector: Decorator = click.option(
    "-l", "--selector", default="", metavar="LABELS", help="Label selector, e.g. app=hello."
)
output: Decorator = click.option(
    "-o", "--output", type=choice(Output), default=Output.TABLE.value, show_default=True, help="Output format."
)
annotation: Decorator = click.option(
    "--annotation",
    multiple=True,
    metavar="NAME=VALUE",
    help="An annotation of the revision, e.g. autoscaling.knative.dev/min-scale=1; repeatable.",
)
include: Decorator = click.option(
    "--include",
    multiple=True,
    metavar="PATH",
    help="A file or folder of DIR to pack although it would be left out; repeatable.",
)


def files(*, required: bool) -> Decorator:
    return click.option(
        "-f",
        "--filename",
        multiple=True,
        required=required,
        metavar="FILE",
        help="A file, a folder of files, or - for stdin; repeatable.",
    )


def wait(what: str) -> Decorator:
    return click.option("--wait/--no-wait", default=True, show_default=True, help=f"Wait until {what}.")


def timeout(seconds: float) -> Decorator:
    return click.option(
        "--timeout",
        type=SECONDS,
        default=seconds,
        metavar="SECONDS",
        show_default=True,
        help="Maximum time to wait.",
    )


def pairs(texts: Sequence[str]) -> dict[str, str]:
    """NAME=VALUE arguments as a mapping."""
    given = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals):
            raise Misuse(f'"{text}" is not NAME=VALUE')
        given[name] = value
    return given


def changes(texts: Sequence[str]) -> dict[str, str | None]:
    """NAME=VALUE arguments as a mapping, and NAME- as None: it removes, as with kubectl and kn."""
    changed: dict[str, str | None] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if equals and name:
            changed[name] = value
        elif text.endswith("-") and len(text) > 1 and not equals:
            changed[text[:-1]] = None
        else:
            raise Misuse(f'"{text}" is neither NAME=VALUE nor NAME-')
    return changed
