# SPDX-License-Identifier: Apache-2.0
"""How commands fail: one line on stderr and exit code 1 (wrong usage: 2), never a traceback of what a user can cause.

What ends here: a `Problem` of the command line itself, an `ApiError` from the API, the operating system's refusals, and
what Typer finds wrong with the arguments. Anything else is a fault of ours and shows as one.
"""

import sys
from collections.abc import Iterator
from typing import Any, NoReturn

import typer
from rich.console import Console
from typer.core import TyperGroup

from tidegate.model import errors


class Problem(Exception):
    """Something a user did or met, in a sentence."""

    exit_code = 1


class Misuse(Problem):
    """Arguments that mean nothing."""

    exit_code = 2


def tell(message: str) -> None:
    """Print one line about a failure on stderr."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    console.print(f"error: {' '.join(message.split())}", style="red", markup=False)


def remark(message: str) -> None:
    """Print one line on stderr that is neither output nor failure."""
    typer.echo(message, err=True)


class Commands(TyperGroup):
    """The root of all commands, where their failures end."""

    def main(self, *args: Any, **options: Any) -> NoReturn:
        try:
            code = super().main(*args, **{**options, "standalone_mode": False})
        except typer.TyperException as error:
            if error.format_message():  # empty where help was shown instead
                tell(error.format_message())
            sys.exit(error.exit_code)
        except BrokenPipeError:
            sys.exit(1)  # whoever read our output has had enough of it
        except (Problem, errors.ApiError, OSError, BaseExceptionGroup) as error:
            tell("; ".join(_messages(error)))
            sys.exit(error.exit_code if isinstance(error, Problem) else 1)
        sys.exit(code or 0)


def _messages(error: BaseException) -> Iterator[str]:
    """What is to be said; of a group's failures, each once. Raises what is not a user's."""
    if isinstance(error, BaseExceptionGroup):
        yield from dict.fromkeys(message for inner in error.exceptions for message in _messages(inner))
    elif isinstance(error, OSError):
        yield f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    elif isinstance(error, Problem | errors.ApiError):
        yield str(error)
    else:
        raise error
