# SPDX-License-Identifier: Apache-2.0
"""How commands fail: one line on stderr and an exit code, never a traceback of what a user can cause.

| what ends a command                                       | exit code |
| --- | --- |
| a `Problem`, an `ApiError` of the API, an error of the OS | 1         |
| `Misuse`, and the arguments that click refuses            | 2         |
| `Damaged`: somebody has to repair the state folder first  | 3         |
| `tidegate status` finds a part that does not run          | 4         |
| Ctrl-C                                                    | 130       |
| the reader of its output is gone (`\\| head`)              | 141       |

Anything else is a fault of ours and shows as one.
"""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from tidegate.model import errors

FAILED, MISUSED, DAMAGED, UNHEALTHY = 1, 2, 3, 4
INTERRUPTED = 128 + signal.SIGINT
UNREAD = 128 + signal.SIGPIPE

_LINE = 300  # characters: what is longer is not read
_MACHINERY = re.compile(
    r'admission webhook "[^"]*" denied the request: (validation failed: )?'
    r'|\w+ in version "[^"]*" cannot be handled as a \w+: (strict decoding error: )?'
)
"""What says by whom something was refused, and not why."""


class Problem(Exception):
    """Something a user did or met, in a sentence."""

    exit_code = FAILED


class Misuse(Problem):
    """Arguments that mean nothing."""

    exit_code = MISUSED


class Damaged(Problem):
    """What is in the state folder cannot be used, now or at a later try."""

    exit_code = DAMAGED


def tell(message: str, about: str = "") -> None:
    """Print a failure on stderr: one line, and where several things are wrong, the others on lines of their own."""
    first, *others = _faults(message)
    for line in (f"error: {about}: {first}" if about else f"error: {first}", *(f"  {fault}" for fault in others)):
        click.secho(line, fg=None if os.environ.get("NO_COLOR") else "red", err=True)


def _faults(message: str) -> list[str]:
    """What a message says is wrong, each shortened to a line. Knative's webhook puts its findings on lines; what cannot
    be decoded stands between semicolons."""
    text = _MACHINERY.sub("", message)
    undecoded = text != message and "\n" not in text and len(text) > _LINE
    found = text.split("; ") if undecoded else text.splitlines()
    return [shortened(line, _LINE) for line in found if line.strip()] or [message]


def shortened(message: str, most: int) -> str:
    """A message on one line, and both ends of a long one: most begin with what is wrong, tracebacks end with it."""
    line = " ".join(message.split())
    if len(line) <= most:
        return line
    begin, end = line[: most // 2].rsplit(" ", 1)[0], line[-(most // 2) :].split(" ", 1)[-1]
    return f"{begin} ... {end}"


def remark(message: str) -> None:
    """Print one line on stderr that is neither output nor failure."""
    click.echo(message, err=True)


@contextmanager
def interruptible(state: Callable[[], str]) -> Iterator[None]:
    """Where Ctrl-C ends this: a line says what state is left."""
    try:
        yield
    except KeyboardInterrupt:
        remark(f"interrupted: {state()}")
        raise


def reported(error: BaseException) -> int:
    """Say what ended a command. Returns its exit code; raises what is not a user's."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        remark(error.format_message())
        return MISUSED
    ends = list(_leaves(error))
    if any(isinstance(end, BrokenPipeError) for end in ends):
        _silence()
        return UNREAD
    tell("; ".join(dict.fromkeys(map(_message, ends))))
    return max(end.exit_code if isinstance(end, Problem | click.ClickException) else FAILED for end in ends)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The failure; of a group, each that is in it."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


def _message(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)
    if isinstance(error, click.ClickException):
        return " ".join(error.format_message().split())
    if isinstance(error, Problem | errors.ApiError):
        return str(error)
    raise error


def _silence() -> None:
    """Let what is left to be written go nowhere, else the interpreter complains about it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
