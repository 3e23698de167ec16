# SPDX-License-Identifier: Apache-2.0
"""Sessions with the containers of Pods, as their client: a WebSocket to `pods/exec` or `pods/portforward`.

In: an API, a Pod. Out: the streams of a program (`RemoteProgram`), or SPDY for connections to ports (`port_forward`).
Called by: `tidegate exec`, `tidegate port-forward`.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import msgspec

from tidegate.client.http import HttpCluster
from tidegate.model import errors
from tidegate.model.objects import Key, Object
from tidegate.model.sessions import SessionOptions, TerminalSize
from tidegate.streaming import channels
from tidegate.streaming.channels import ChannelReader
from tidegate.streaming.spdy import SpdyConnection
from tidegate.streaming.websocket import Tunnel, WebSocket

_LONGEST_STATUS = 64 * 1024
_NO_STATUS = "the session ended without a result: the instance or Tidegate has ended"


class ProgramOutput(NamedTuple):
    """A piece of a program's output. `is_error`: of its stderr."""

    data: bytes
    is_error: bool


class RemoteProgram:
    """A program in a container, and its files. `exit_code`: valid once `output` has ended."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self._status = b""

    async def output(self) -> AsyncIterator[ProgramOutput]:
        """The output of the program, until it has ended."""
        reader = ChannelReader(is_text=False)
        while (piece := await self._socket.receive()) is not None:
            found = reader.feed(piece.data, starts=piece.starts)
            if found is None:
                continue
            channel, data = found
            if channel in (channels.STDOUT, channels.STDERR):
                yield ProgramOutput(data, channel == channels.STDERR)
            elif channel == channels.ERROR and len(self._status) < _LONGEST_STATUS:
                self._status += data

    @property
    def exit_code(self) -> int:
        """Raises `ApiError` if the program was not run, or has not ended by itself."""
        try:
            status = msgspec.json.decode(self._status, type=dict[str, Any])
        except msgspec.MsgspecError:
            raise errors.ServiceUnavailable(_NO_STATUS) from None
        return _exit_code(status)

    async def send(self, data: bytes) -> None:
        """Send input. Raises `ConnectionError` once the session has ended."""
        await self._socket.send(channels.encoded(channels.STDIN, data, is_text=False))

    async def send_end(self) -> None:
        """The input ends."""
        await self._socket.send(bytes([channels.CLOSE, channels.STDIN]))

    async def resize(self, size: TerminalSize) -> None:
        content = msgspec.json.encode({"Width": size.columns, "Height": size.rows})
        await self._socket.send(channels.encoded(channels.RESIZE, content, is_text=False))


def _exit_code(status: Object) -> int:
    if status.get("status") == "Success":
        return 0
    causes = (status.get("details") or {}).get("causes") or ()
    code = next((str(cause.get("message")) for cause in causes if cause.get("reason") == "ExitCode"), "")
    if status.get("reason") == "NonZeroExitCode" and code.isdigit():
        return int(code)
    raise errors.from_status(status)


@asynccontextmanager
async def program(
    cluster: HttpCluster, pod: Key, container: str, options: SessionOptions
) -> AsyncIterator[RemoteProgram]:
    """Run a program in a container ("": the default one), for the time of an `async with`; then it is killed."""
    flags = {"stdin": options.stdin, "stdout": options.stdout, "stderr": options.stderr, "tty": options.tty}
    parameters = [
        *(("command", text) for text in options.command),
        *((name, "true") for name, is_set in flags.items() if is_set),
        *([("container", container)] if container else ()),
    ]
    async with _connected(cluster, pod, "exec", parameters, channels.V5) as socket:
        yield RemoteProgram(socket)


@asynccontextmanager
async def port_forward(cluster: HttpCluster, pod: Key) -> AsyncIterator[SpdyConnection]:
    """A SPDY connection whose streams lead to ports of a Pod. The caller runs it."""
    async with cluster.switched(pod, "portforward", (), channels.TUNNEL) as duplex:
        tunnel = Tunnel(WebSocket(duplex, is_server=False), duplex)
        yield SpdyConnection(tunnel, is_server=False, most_streams=0)


@asynccontextmanager
async def _connected(
    cluster: HttpCluster, pod: Key, subresource: str, parameters: Sequence[tuple[str, str]], protocol: str
) -> AsyncIterator[WebSocket]:
    async with cluster.switched(pod, subresource, parameters, protocol) as duplex:
        yield WebSocket(duplex, is_server=False)
