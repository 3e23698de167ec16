# SPDX-License-Identifier: Apache-2.0
"""The routes of the API: an ASGI application over the endpoints.

    /healthz /livez /readyz /version          the server itself
    /metrics                                  metrics in Prometheus' format (`Providers`)
    /statusz                                  the state of the parts (`Providers`)
    /api /apis and below, to the version      discovery_routes.py -> discovery.py
    /openapi/v2, /openapi/v3 and below        discovery_routes.py -> openapi_v2.py, openapi.py
    /apis/auth*.k8s.io/v1/...                 reviews.py, token_requests.py
    /.well-known, /openid                     token_requests.py
    all other paths below /api and /apis      paths.py -> objects.py

Every error is answered with a Status (`responses.failure`); an unknown path with a plain 404.
"""

import platform
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints import auth, bodies, discovery_routes, paths, responses, reviews, token_requests
from tidegate.apiserver.endpoints.auth import Authentication
from tidegate.apiserver.endpoints.objects import ObjectEndpoints
from tidegate.apiserver.endpoints.providers import Providers
from tidegate.apiserver.endpoints.token_requests import TokenEndpoints
from tidegate.model import errors
from tidegate.model.scheme import Scheme

KUBERNETES = ("1", "32")
"""The Kubernetes version whose API this is; kubectl warns about servers more than one minor version away."""


def application(objects: ObjectEndpoints, scheme: Scheme, providers: Providers, access: Authentication) -> ASGIApp:
    """The whole API, for callers that `access` knows."""
    tokens = TokenEndpoints(access.service_accounts)

    async def metrics(request: Request) -> Response:
        return Response(await providers.metrics(), media_type="text/plain; version=0.0.4")

    async def statusz(request: Request) -> Response:
        return responses.json(providers.statusz())

    async def resource(request: Request) -> ASGIApp:
        path = paths.parsed(request.url.path, scheme.kinds)
        return responses.unknown_path() if path is None else await objects.answer(request, path)

    app = Starlette(
        routes=[
            *(Route(path, _healthy) for path in auth.PUBLIC),
            Route("/version", _version),
            Route("/metrics", metrics),
            Route("/statusz", statusz),
            *discovery_routes.routes(scheme),
            *(Route(path, _review(review), methods=["POST"]) for path, review in reviews.BY_PATH.items()),
            Route(token_requests.REVIEW_PATH, tokens.review, methods=["POST"]),
            Route(token_requests.CONFIGURATION_PATH, tokens.configuration),
            Route(token_requests.KEYS_PATH, tokens.keys),
            Route("/{path:path}", resource, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ],
        exception_handlers={
            errors.ApiError: _api_error,
            HTTPException: _method_not_allowed,
            ClientDisconnect: _disconnected,
            Exception: _internal_error,
        },
    )
    return auth.authenticated(app, access, scheme.kinds)


async def _api_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.ApiError):
        raise error
    return responses.error(error)


async def _method_not_allowed(request: Request, error: Exception) -> Response:
    """The router's own error: no path accepts the method."""
    return responses.error(errors.MethodNotAllowed(responses.NOT_ALLOWED))


async def _disconnected(request: Request, error: Exception) -> Response:
    """The client closed the connection before its body was complete: nobody reads this answer."""
    return Response(status_code=400)


async def _internal_error(request: Request, error: Exception) -> Response:
    """A fault of the server. The client gets the type of the error; starlette raises it again, and uvicorn logs it."""
    return responses.error(errors.ApiError(f"the server failed to answer: {type(error).__name__}"))


def _review(review: reviews.Review) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        body = await bodies.decoded(request)
        if not isinstance(body.value, dict):
            raise errors.BadRequest("a review must be a JSON object")
        return responses.json(review(body.value, auth.caller(request)), status=201)

    return answer


async def _healthy(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _version(request: Request) -> Response:
    major, minor = KUBERNETES
    return responses.json(
        {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{major}.{minor}.0+tidegate",
            "platform": f"{platform.system().lower()}/{platform.machine()}",
        }
    )
