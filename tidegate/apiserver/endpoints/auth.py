# SPDX-License-Identifier: Apache-2.0
"""Authentication of requests by a bearer token, for starlette's AuthenticationMiddleware.

In: the headers of a request. Out: its `User` (`caller`), or a 401 Status. The health paths need no token. A request
with the token also admits its connection, which then no longer counts as unauthenticated.
"""

import hmac
from dataclasses import dataclass

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints import responses
from tidegate.apiserver.endpoints.connection import ADMIT
from tidegate.model import errors
from tidegate.model.user import User

PUBLIC = frozenset({"/healthz", "/livez", "/readyz"})


@dataclass(frozen=True, slots=True)
class Caller(BaseUser):
    """The form in which starlette keeps the user of a request."""

    user: User

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def display_name(self) -> str:
        return self.user.name


class BearerToken(AuthenticationBackend):
    """Accepts one token, which belongs to one user."""

    def __init__(self, token: str, user: User) -> None:
        self._token = token.encode()
        self._result = AuthCredentials(["authenticated"]), Caller(user)

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        if self._has_token(conn):
            conn.scope.get("extensions", {}).get(ADMIT, _without_connection)()
            return self._result
        if conn.scope["path"] in PUBLIC:
            return None
        raise AuthenticationError("Unauthorized")

    def _has_token(self, conn: HTTPConnection) -> bool:
        given = next((value for name, value in conn.scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        return scheme.lower() == b"bearer" and hmac.compare_digest(token.strip(), self._token)


def authenticated(app: ASGIApp, token: str, user: User) -> ASGIApp:
    """The application, for callers with the token only."""
    return AuthenticationMiddleware(app, BearerToken(token, user), _reject)


def caller(request: Request) -> User:
    """The user of a request that has passed authentication."""
    found: Caller = request.user
    return found.user


def _reject(conn: HTTPConnection, error: AuthenticationError) -> Response:
    """401 before the body is read. If a body follows, the connection is closed."""
    response = responses.error(errors.Unauthorized(str(error)))
    if "content-length" in conn.headers or "transfer-encoding" in conn.headers:
        response.headers["connection"] = "close"
    return response


def _without_connection() -> None:
    """Used where the application is called without a connection, e.g. in tests."""
