# SPDX-License-Identifier: Apache-2.0
"""What a command that takes its time reports meanwhile, on stderr: a line that changes; in a pipe, a line each."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidegate.cli import problems

Tell = Callable[[str], None]


@contextmanager
def shown() -> Iterator[Tell]:
    """A function to report progress with, for the time of a `with`."""
    if not sys.stderr.isatty():
        yield problems.remark
        return
    from rich.console import Console

    with Console(stderr=True, soft_wrap=True, highlight=False).status("") as status:

        def tell(message: str) -> None:
            status.update(message.replace("[", r"\["))

        yield tell
