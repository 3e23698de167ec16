# SPDX-License-Identifier: Apache-2.0
"""How commands fail: one line on stderr and an exit code; a traceback only for a fault of Tidegate itself.

| cause                                                     | exit code |
| --- | --- |
| a `CommandFailure`, an `ApiError` of the API, an `OSError`       | 1         |
| `Misuse`, and arguments that click rejects                | 2         |
| `Damaged`: the state folder needs repair                  | 3         |
| `tidegate status` finds a part that does not run          | 4         |
| Ctrl-C                                                    | 130       |
| the reader of the output has exited (`\\| head`)           | 141       |
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

_LINE = 300  # characters; longer lines are cut in the middle
_MACHINERY = re.compile(
    r'admission webhook "[^"]*" denied the request: (validation failed: )?'
    r'|\w+ in version "[^"]*" cannot be handled as a \w+: (strict decoding error: )?'
)
"""Parts of messages that name the part that rejected a request, not the reason."""


class CommandFailure(Exception):
    """A command failed. The message is one sentence for the user."""

    exit_code = FAILED


class Misuse(CommandFailure):
    """The arguments have no meaning; nothing was tried."""

    exit_code = MISUSED


class Damaged(CommandFailure):
    """The state folder cannot be used, and a retry would not help."""

    exit_code = DAMAGED


def print_error(message: str, about: str = "") -> None:
    """Print a failure on stderr: one line, and one more for each further fault."""
    first, *others = _faults(message)
    for line in (f"error: {about}: {first}" if about else f"error: {first}", *(f"  {fault}" for fault in others)):
        click.secho(line, fg=None if os.environ.get("NO_COLOR") else "red", err=True)


def _faults(message: str) -> list[str]:
    """The faults in a message, each shortened to a line. Knative's webhook puts each fault on a line; decoding errors
    are separated by semicolons."""
    text = _MACHINERY.sub("", message)
    undecoded = text != message and "\n" not in text and len(text) > _LINE
    found = text.split("; ") if undecoded else text.splitlines()
    return [shortened(line, _LINE) for line in found if line.strip()] or [message]


def shortened(message: str, most: int) -> str:
    """A message on one line; of a long one both ends, because most messages begin with the fault and tracebacks end
    with it."""
    line = " ".join(message.split())
    if len(line) <= most:
        return line
    begin, end = line[: most // 2].rsplit(" ", 1)[0], line[-(most // 2) :].split(" ", 1)[-1]
    return f"{begin} ... {end}"


def remark(message: str) -> None:
    """Print one line on stderr that is neither output nor an error."""
    click.echo(message, err=True)


@contextmanager
def interruptible(state: Callable[[], str]) -> Iterator[None]:
    """On Ctrl-C, print a line about the state that remains."""
    try:
        yield
    except KeyboardInterrupt:
        remark(f"interrupted: {state()}")
        raise


def reported(error: BaseException) -> int:
    """Print the error of a failed command and return its exit code. Raises errors that users cannot cause."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        remark(error.format_message())
        return MISUSED
    ends = list(_leaves(error))
    if any(isinstance(end, BrokenPipeError) for end in ends):
        _silence()
        return UNREAD
    print_error("; ".join(dict.fromkeys(map(_message, ends))))
    return max(end.exit_code if isinstance(end, CommandFailure | click.ClickException) else FAILED for end in ends)


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """The error; of a group, all errors in it."""
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
    if isinstance(error, CommandFailure | errors.ApiError):
        return str(error)
    raise error


def _silence() -> None:
    """Send the rest of the output to /dev/null; else the interpreter reports an error when it exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
