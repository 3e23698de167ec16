# SPDX-License-Identifier: Apache-2.0
"""Sessions with a container: the queries of `pods/exec` and `pods/attach`, and the streams between client and node.

The API server makes a `SessionStreams` of what a client sends over WebSocket or SPDY; the node joins it to a program.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """The streams that the client has, and whether the program has a terminal. `command`: empty for an attach."""

    stdin: bool = False
    stdout: bool = False
    stderr: bool = False
    tty: bool = False
    command: tuple[str, ...] = ()


class TerminalSize(NamedTuple):
    """The size of the client's terminal, in characters."""

    columns: int
    rows: int


class SessionStreams(Protocol):
    """A client's side of a session. A `ConnectionError` means that the client has left."""

    async def read(self) -> bytes:
        """The next bytes of stdin; b"" at its end, and if the client has no stdin."""

    async def write(self, data: bytes, *, is_error: bool = False) -> None:
        """Send output. `is_error`: of stderr. Returns once the client has taken most of what was sent."""

    async def resized(self) -> TerminalSize:
        """The size of the terminal, once the client has sent another."""
