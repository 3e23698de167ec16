# SPDX-License-Identifier: Apache-2.0
"""What a command that takes its time tells meanwhile, on stderr: a line that changes; where nobody looks, lines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console

Tell = Callable[[str], None]


@contextmanager
def shown() -> Iterator[Tell]:
    """A function to tell progress with, for the time of a `with`."""
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    if not console.is_terminal:
        yield lambda message: console.print(message, markup=False)
        return
    with console.status("") as status:

        def tell(message: str) -> None:
            status.update(message.replace("[", r"\["))

        yield tell
