# SPDX-License-Identifier: Apache-2.0
"""Authentication of requests by a bearer token, for starlette's AuthenticationMiddleware, then authorization.

In: the headers of a request. Out: its `User` (`caller`), or a 401 Status; a 403 Status for a request that the user may
not make. The health paths need no token. A request with a valid token also admits its connection, which then no longer
counts as unauthenticated.
"""

import hmac
from dataclasses import dataclass

from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, BaseUser
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from tidegate.apiserver.access import authorization
from tidegate.apiserver.access.authorization import Attributes
from tidegate.apiserver.access.tokens import ServiceAccountTokens
from tidegate.apiserver.endpoints import paths, responses
from tidegate.apiserver.endpoints.connection import ADMIT
from tidegate.model import errors
from tidegate.model.kinds import Kinds
from tidegate.model.user import User

PUBLIC = frozenset({"/healthz", "/livez", "/readyz"})
_VERBS = {"GET": "get", "HEAD": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
_OF_COLLECTION = {"get": "list", "delete": "deletecollection"}


@dataclass(frozen=True, slots=True)
class Authentication:
    """The ways to call the API: a token that belongs to a user, and the tokens of service accounts."""

    token: str
    user: User
    service_accounts: ServiceAccountTokens


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
    """Finds the user of a token."""

    def __init__(self, access: Authentication) -> None:
        self._token = access.token.encode()
        self._user = access.user
        self._service_accounts = access.service_accounts

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        user = self._of(conn)
        if user is not None:
            conn.scope.get("extensions", {}).get(ADMIT, _without_connection)()
            return AuthCredentials(["authenticated"]), Caller(user)
        if conn.scope["path"] in PUBLIC:
            return None
        raise AuthenticationError("Unauthorized")

    def _of(self, conn: HTTPConnection) -> User | None:
        given = next((value for name, value in conn.scope["headers"] if name == b"authorization"), b"")
        scheme, _, token = given.partition(b" ")
        if scheme.lower() != b"bearer":
            return None
        if hmac.compare_digest(token.strip(), self._token):
            return self._user
        return self._service_accounts.user(token.strip().decode("ascii", "replace"))


class Authorization:
    """Rejects the requests that their user may not make."""

    def __init__(self, app: ASGIApp, kinds: Kinds) -> None:
        self._app = app
        self._kinds = kinds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = scope.get("user")
        if scope["type"] != "http" or not isinstance(found, Caller) or authorization.MASTERS in found.user.groups:
            await self._app(scope, receive, send)
            return
        asked = attributes(Request(scope), self._kinds)
        if authorization.allows(found.user, asked):
            await self._app(scope, receive, send)
            return
        await _rejected(Request(scope), _forbidden(found.user, asked))(scope, receive, send)


def attributes(request: Request, kinds: Kinds) -> Attributes:
    """What a request is about."""
    path = request.url.path
    verb = _VERBS.get(request.method, request.method.lower())
    found = paths.parsed(path, kinds)
    if found is not None:
        if not found.name:
            verb = _OF_COLLECTION.get(verb, verb)
            verb = "watch" if verb == "list" and request.query_params.get("watch") in ("1", "true") else verb
        resource = f"{found.kind.plural}/{found.subresource}" if found.subresource else found.kind.plural
        return Attributes(verb, path, found.kind.group, resource, found.namespace, found.name)
    prefix, _, rest = path.strip("/").partition("/")
    parts = rest.split("/")
    if prefix == "apis" and len(parts) == 3:  # a review, or a kind that is not served
        return Attributes(_OF_COLLECTION.get(verb, verb), path, parts[0], parts[2])
    return Attributes(verb, path)


def _forbidden(user: User, asked: Attributes) -> errors.Forbidden:
    about = {"name": asked.name, "group": asked.group, "kind": asked.resource}
    return errors.Forbidden(
        authorization.refusal(user, asked), details={name: value for name, value in about.items() if value}
    )


def authenticated(app: ASGIApp, access: Authentication, kinds: Kinds) -> ASGIApp:
    """The application, for callers with a valid token only, as far as they may."""
    return AuthenticationMiddleware(Authorization(app, kinds), BearerToken(access), _reject)


def caller(request: Request) -> User:
    """The user of a request that has passed authentication."""
    found: Caller = request.user
    return found.user


def _reject(conn: HTTPConnection, error: AuthenticationError) -> Response:
    return _rejected(conn, errors.Unauthorized(str(error)))


def _rejected(conn: HTTPConnection, error: errors.ApiError) -> Response:
    """An answer before the body is read. If a body follows, the connection is closed."""
    response = responses.error(error)
    if "content-length" in conn.headers or "transfer-encoding" in conn.headers:
        response.headers["connection"] = "close"
    return response


def _without_connection() -> None:
    """Used where the application is called without a connection, e.g. in tests."""
