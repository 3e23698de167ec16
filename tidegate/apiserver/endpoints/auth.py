# SPDX-License-Identifier: Apache-2.0
"""Who may ask: whoever has the bearer token; probes of health may be made by all."""

import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.apiserver.endpoints import answers
from tidegate.apiserver.endpoints.connection import ADMIT
from tidegate.model import errors

PUBLIC = frozenset({"/healthz", "/livez", "/readyz"})


class BearerToken:
    """ASGI middleware that lets only requests with the token through; others get a 401 Status."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        has_token = self._has_token(scope)
        if has_token:
            scope.get("extensions", {}).get(ADMIT, _nobody_asks)()
        if not has_token and scope["path"] not in PUBLIC:
            await _refuse(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """401, without reading a body: a connection on which one may still come is closed."""
    response = answers.failure(errors.Unauthorized("Unauthorized"))
    if any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]):
        response.headers["connection"] = "close"
    await response(scope, receive, send)


def _nobody_asks() -> None:
    """Where the application is called without a connection."""
