# SPDX-License-Identifier: Apache-2.0
"""Responses: objects and failures as JSON."""

from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import PlainTextResponse, Response

from tidegate.model import errors

NOT_ALLOWED = "the server does not allow this method on the requested resource"
_LONGEST_WARNING = 256
_MOST_WARNINGS = 20  # a client prints each on a line of its own, and headers are bounded


def json(
    value: Any, *, status: int = 200, warnings: Sequence[str] = (), media_type: str = "application/json"
) -> Response:
    response = Response(msgspec.json.encode(value), status, media_type=media_type)
    for text in warnings[:_MOST_WARNINGS]:
        response.raw_headers.append((b"warning", _warning(text)))
    return response


def _warning(text: str) -> bytes:
    """A Warning header's value (RFC 7234): one line, quoted."""
    line = " ".join(text[:_LONGEST_WARNING].split())
    escaped = line.replace("\\", "\\\\").replace('"', '\\"')
    return f'299 - "{escaped}"'.encode()


def failure(error: errors.ApiError) -> Response:
    """The Status of an error."""
    response = json(error.status(), status=error.code)
    if "retryAfterSeconds" in error.details:
        response.headers["retry-after"] = str(error.details["retryAfterSeconds"])
    if isinstance(error, errors.Unauthorized):
        response.headers["www-authenticate"] = "Bearer"
    return response


def no_such_path() -> Response:
    """Plain text, not a Status: so do clients tell a kind that is not served from an object that is not there."""
    return PlainTextResponse("404 page not found\n", 404)
