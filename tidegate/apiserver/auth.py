# SPDX-License-Identifier: Apache-2.0
"""Who may ask: whoever has the bearer token; probes of health may be made by all."""

import hmac

from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.apiserver import answers
from tidegate.model import errors

PUBLIC = frozenset({"/healthz", "/livez", "/readyz"})


class BearerToken:
    """ASGI middleware that lets only requests with the token through; others get a 401 Status."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._expected = f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in PUBLIC and not self._has_token(scope):
            await answers.failure(errors.Unauthorized("Unauthorized"))(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _has_token(self, scope: Scope) -> bool:
        given = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
        return hmac.compare_digest(given, self._expected)
