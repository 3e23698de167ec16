# SPDX-License-Identifier: Apache-2.0
"""The handshake of a request that asks to switch its connection to WebSocket or SPDY. Pure.

In: the request, and the protocols that its endpoint speaks. Out: the chosen protocol and the headers of the answer 101,
or `BadRequest`, which the client gets as a Status. Called by: `pod_sessions.py`.
Rule: k8s.io/apimachinery pkg/util/httpstream, `Handshake`; RFC 6455, section 4.2.
"""

import base64
import binascii
from collections.abc import Sequence
from typing import NamedTuple

from starlette.datastructures import Headers
from starlette.requests import Request
from wsproto.utilities import generate_accept_token

from tidegate.model import errors

_SPDY = "SPDY/3.1"
_SPDY_PROTOCOL = "X-Stream-Protocol-Version"
_KEY_BYTES = 16


class Handshake(NamedTuple):
    """`protocol`: the chosen one, "" if the client names none."""

    is_websocket: bool
    protocol: str
    headers: list[tuple[str, str]]


def negotiated(request: Request, *, websocket: Sequence[str], spdy: Sequence[str]) -> Handshake:
    """The first protocol of the client that is among ours. Raises `BadRequest`."""
    headers = request.headers
    upgrade = headers.get("upgrade", "").lower()
    if "upgrade" not in _listed(headers, "connection", lower=True) or upgrade not in ("websocket", _SPDY.lower()):
        raise errors.BadRequest("unable to upgrade: a request for a session needs the headers of WebSocket or SPDY/3.1")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise errors.BadRequest("unable to upgrade: the request must have no body")
    if upgrade == "websocket":
        return _websocket(request, websocket)
    protocol = _chosen(_listed(headers, _SPDY_PROTOCOL), spdy)
    fields = [("Upgrade", _SPDY), ("Connection", "Upgrade")]
    return Handshake(False, protocol, [*fields, (_SPDY_PROTOCOL, protocol)] if protocol else fields)


def _websocket(request: Request, ours: Sequence[str]) -> Handshake:
    headers = request.headers
    if request.method != "GET":
        raise errors.BadRequest("unable to upgrade: a WebSocket begins with GET")
    if headers.get("sec-websocket-version") != "13":
        raise errors.BadRequest("unable to upgrade: Sec-WebSocket-Version must be 13")
    key = headers.get("sec-websocket-key", "")
    try:
        is_key = len(base64.b64decode(key, validate=True)) == _KEY_BYTES
    except binascii.Error:
        is_key = False
    if not is_key:
        raise errors.BadRequest("unable to upgrade: Sec-WebSocket-Key must be 16 bytes in base64")
    protocol = _chosen(_listed(headers, "sec-websocket-protocol"), ours)
    fields = [
        *(("Upgrade", "websocket"), ("Connection", "Upgrade")),
        ("Sec-WebSocket-Accept", generate_accept_token(key.encode()).decode()),
    ]
    return Handshake(True, protocol, [*fields, ("Sec-WebSocket-Protocol", protocol)] if protocol else fields)


def _chosen(offered: Sequence[str], ours: Sequence[str]) -> str:
    chosen = next((protocol for protocol in offered if protocol in ours), "")
    if offered and not chosen:
        raise errors.BadRequest(
            f"unable to upgrade: unable to negotiate protocol: client supports [{' '.join(offered)}], "
            f"server accepts [{' '.join(ours)}]"
        )
    return chosen


def _listed(headers: Headers, name: str, *, lower: bool = False) -> list[str]:
    """The values of a header that may be there several times, with a comma between values."""
    values = [value.strip() for line in headers.getlist(name) for value in line.split(",")]
    return [value.lower() if lower else value for value in values if value]
