# SPDX-License-Identifier: Apache-2.0
"""All options that several commands have, and the parsing of option values.

In: texts of the command line. Out: typed values; `Misuse` for a text that has no meaning. Options that belong together
reach a command as one record (`record`), e.g. `Scope`.
"""

import functools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidegate.cli.failures import Misuse
from tidegate.model.text import syntax

if TYPE_CHECKING:
    from ipaddress import IPv4Network

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

MAX_USER = 2**31 - 1  # as for the fields of a security context
_ALL = 100
_USER_RANGE = re.compile(r"(\d{1,10})-(\d{1,10})")


def record(name: str, kind: type, *options: Decorator) -> Decorator:
    """Options as one argument `name` of the command: a dataclass `kind`, with a field for each option."""
    names = [field.name for field in fields(kind)]

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def collected(*positional: Any, **values: Any) -> Any:
            values[name] = kind(**{field: values.pop(field) for field in names})
            return command(*positional, **values)

        for option in reversed(options):
            option(collected)
        return collected

    return decorate


# Types of values


class WholeNumber(click.IntRange):
    name = "whole number"  # in error messages; click's name is "integer range"


class _Seconds(click.FloatRange):
    name = "number of seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


SECONDS = _Seconds(min=0)
FILE = click.Path(path_type=Path)
PORT = WholeNumber(0, 65535)


class Output(StrEnum):
    """How to print a result that is for people first."""

    TABLE = "table"
    JSON = "json"


def choice(kinds: type[StrEnum]) -> click.Choice[StrEnum]:
    return click.Choice(kinds, case_sensitive=False)


def domain_name(text: str) -> str:
    if syntax.dns_1123_subdomain(text):
        raise Misuse(f'--domain: "{text}" is not a domain name in lower case')
    return text


def user_range(text: str) -> range:
    """The user ids that FIRST-LAST names."""
    found = _USER_RANGE.fullmatch(text)
    if found is None or not 0 < int(found[1]) <= int(found[2]) <= MAX_USER:
        raise Misuse(f'--app-users: "{text}" is not FIRST-LAST, user ids from 1 to {MAX_USER}')
    return range(int(found[1]), int(found[2]) + 1)


def pod_subnet(text: str) -> "IPv4Network":
    from tidegate.network import plan

    try:
        return plan.parse(text)
    except ValueError as error:
        raise Misuse(f"--pod-cidr: {error}") from error


def pairs(texts: Sequence[str], form: str = "NAME=VALUE") -> list[tuple[str, str]]:
    """Texts with a name, "=" and a value; the value may be empty for NAME=VALUE only."""
    parsed = []
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and (value or form == "NAME=VALUE")):
            raise Misuse(f'"{text}" is not {form}')
        parsed.append((name, value))
    return parsed


def changes(texts: Sequence[str]) -> dict[str, str | None]:
    """NAME=VALUE sets, NAME- removes (None), as with kubectl and kn."""
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


def percents(texts: Sequence[str], form: str) -> dict[str, int]:
    """Texts like REVISION=PERCENT, with whole numbers from 0 to 100."""
    parsed = {}
    for name, text in pairs(texts, form):
        if not text.isascii() or not text.isdigit() or int(text) > _ALL:
            raise Misuse(f'"{name}={text}": a share is a whole number from 0 to {_ALL}')
        parsed[name] = int(text)
    return parsed


def parsed(parse: Callable[..., Any], *arguments: Any) -> Callable[[click.Context, click.Parameter, Any], Any]:
    """A click callback that parses the value, unless it is absent."""
    return lambda ctx, param, value: None if value is None else parse(value, *arguments)


# Options


data_dir: Decorator = click.option(
    "--data-dir",
    type=FILE,
    envvar="TIDEGATE_HOME",
    metavar="DIR",
    show_envvar=True,
    show_default="~/.tidegate",
    help="State folder of the Tidegate to use.",
)
_namespace: Decorator = click.option(
    "-n", "--namespace", default="default", metavar="NAME", show_default=True, help="Namespace to work in."
)
_namespace_of_files: Decorator = click.option(
    "-n",
    "--namespace",
    metavar="NAME",
    show_default="default",
    help="Namespace of objects in files that name none; an object that names another one is an error.",
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
    callback=parsed(lambda texts: dict(pairs(texts))),
    help="Annotation of the revision, e.g. autoscaling.knative.dev/scale-down-delay=30s; repeatable.",
)


class Builder(StrEnum):
    """How a folder of source becomes an image."""

    AUTO = "auto"
    BUNDLE = "bundle"
    DOCKERFILE = "dockerfile"


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """How to build a folder of source. `build_arg`: values of a Dockerfile's ARGs."""

    include: Sequence[str]
    builder: Builder
    build_arg: Mapping[str, str]


building: Decorator = record(
    "building",
    BuildOptions,
    click.option(
        "--include",
        multiple=True,
        metavar="PATH",
        help="File or folder of DIR to pack in a bundle even if an ignore rule excludes it, e.g. .env; repeatable.",
    ),
    click.option(
        "--builder",
        type=choice(Builder),
        default=Builder.AUTO.value,
        show_default=True,
        help="auto: from the Dockerfile of DIR, if there is one, no Procfile, and buildah.",
    ),
    click.option(
        "--build-arg",
        multiple=True,
        metavar="NAME=VALUE",
        callback=parsed(lambda texts: dict(pairs(texts))),
        help="Value of an ARG of the Dockerfile; repeatable.",
    ),
)


@dataclass(frozen=True, slots=True)
class Scope:
    """The namespace to work in, and the state folder of the Tidegate to use."""

    namespace: str
    data_dir: Path | None


scope: Decorator = record("scope", Scope, _namespace, data_dir)


@dataclass(frozen=True, slots=True)
class ManifestFiles:
    """Files of objects, and the namespace for objects that name none (None: `default`)."""

    filename: Sequence[str]
    namespace: str | None


def manifest_files(*, required: bool) -> Decorator:
    names = click.option(
        "-f",
        "--filename",
        multiple=True,
        required=required,
        metavar="FILE",
        help="YAML or JSON file of objects, a folder of such files, or - for stdin; repeatable.",
    )
    return record("files", ManifestFiles, names, _namespace_of_files)


@dataclass(frozen=True, slots=True)
class WaitOptions:
    """Whether to wait for the result, and for how long at most."""

    wait: bool
    timeout: float

    @property
    def seconds(self) -> float | None:
        """None: do not wait."""
        return self.timeout if self.wait else None


def waiting(event: str, seconds: float, *, default: bool = True) -> Decorator:
    """`event`: what to wait for, as a clause."""
    wait = (
        click.option("--wait/--no-wait", default=True, show_default=True, help=f"Wait until {event}.")
        if default
        else click.option("--wait", is_flag=True, help=f"Wait until {event}.")
    )
    timeout = click.option(
        "--timeout",
        type=SECONDS,
        default=seconds,
        metavar="SECONDS",
        show_default=True,
        help="Maximum time to wait, in seconds.",
    )
    return record("waiting", WaitOptions, wait, timeout)
