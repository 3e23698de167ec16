# SPDX-License-Identifier: Apache-2.0
"""Responses: objects, lists and errors as JSON."""

import asyncio
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.model import errors
from tidegate.model.objects import Object

JSON = "application/json"
NOT_ALLOWED = "the server does not allow this method on the requested resource"
LONGEST_WARNING = 256  # characters
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
MOST_WARNINGS = 20  # a client prints each on a line of its own, and the size of headers is limited
_PART = 128 * 1024  # bytes of a list that are encoded in one turn of the event loop: about a millisecond


class LongList(NamedTuple):
    """A list before it is encoded: its short fields, the name of its long field, and the entries of that."""

    head: Object
    field: str
    entries: Iterable[Any]


def json(value: Any, *, status: int = 200, warnings: Sequence[str] = (), media_type: str = JSON) -> Response:
    response = Response(msgspec.json.encode(value), status, media_type=media_type)
    for text in warnings[:MOST_WARNINGS]:
        response.raw_headers.append((b"warning", _warning(text)))
    return response


def in_parts(listed: LongList) -> ASGIApp:
    """A list of any length. A long list is encoded in parts, while it is sent, so that other requests get a turn."""
    parts = _parts(listed)
    first = next(parts)
    rest = next(parts, None)
    return Response(first, media_type=JSON) if rest is None else _InParts(itertools.chain((first, rest), parts))


def _parts(listed: LongList) -> Iterator[bytes]:
    part = bytearray(msgspec.json.encode(listed.head)[:-1] + f',"{listed.field}":['.encode())
    comma = b""
    for entry in listed.entries:
        part += comma + msgspec.json.encode(entry)
        comma = b","
        if len(part) > _PART:
            yield bytes(part)
            part.clear()
    yield bytes(part + b"]}")


class _InParts:
    """The ASGI response of several parts."""

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", JSON.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(0)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _warning(text: str) -> bytes:
    """A Warning header's value (RFC 7234): one line, quoted."""
    line = " ".join(_CONTROLS.sub(" ", text[:LONGEST_WARNING]).split())
    escaped = line.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'.encode()


def error(cause: errors.ApiError) -> Response:
    """The Status of an error."""
    response = json(cause.status(), status=cause.code)
    if "retryAfterSeconds" in cause.details:
        response.headers["retry-after"] = str(cause.details["retryAfterSeconds"])
    if isinstance(cause, errors.Unauthorized):
        response.headers["www-authenticate"] = "Bearer"
    return response


def unknown_path() -> Response:
    """Plain text, not a Status: clients distinguish by it an unknown kind from a missing object."""
    return PlainTextResponse("404 page not found\n", 404)
