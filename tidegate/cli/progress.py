# SPDX-License-Identifier: Apache-2.0
"""Progress of a slow command, on stderr: one line that changes; in a pipe, one line for each report."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidegate.cli import failures

ShowLine = Callable[[str], None]


@contextmanager
def shown() -> Iterator[ShowLine]:
    """A function that reports progress, during a `with`."""
    if not sys.stderr.isatty():
        yield failures.remark
        return
    from rich.console import Console

    with Console(stderr=True, soft_wrap=True, highlight=False).status("") as status:
        yield lambda message: status.update(message.replace("[", r"\["))
