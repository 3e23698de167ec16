# SPDX-License-Identifier: Apache-2.0
"""The HTTP face of the API: which path leads where. An ASGI app over `verbs.Api`.

    /healthz /livez /readyz /version          about the server
    /metrics                                  figures for Prometheus, from whoever has them
    /statusz                                  how the parts of the control plane are, likewise
    /api /apis and below, to the version      discovery.py
    /openapi/v3 and below                     openapi.py
    /openapi/v2                               openapi_v2.py
    /apis/auth*.k8s.io/v1/...                 reviews.py
    all else below /api and /apis             paths.py -> resources.py

Every failure leaves as a Status (`answers.failure`); a path that nothing serves is a plain 404.
"""

import platform
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints import answers, auth, bodies, discovery, negotiation, openapi_v2, paths, reviews
from tidegate.apiserver.endpoints.discovery import Discovery
from tidegate.apiserver.endpoints.openapi import Documents
from tidegate.apiserver.endpoints.resources import Resources
from tidegate.model import errors
from tidegate.model.objects import Object
from tidegate.model.scheme import Scheme
from tidegate.model.user import User

KUBERNETES = ("1", "32")
"""The Kubernetes version whose API this is; kubectl warns of servers more than one minor version away."""

Review = Callable[[Object, User], Object]

Figures = Callable[[], Awaitable[bytes]]
"""Text in Prometheus' format."""

Statusz = Callable[[], Object]
"""How the parts behind the API are."""


def application(
    resources: Resources, scheme: Scheme, figures: Figures, statusz: Statusz, *, token: str, user: User
) -> ASGIApp:
    """The whole server, behind its token."""
    documents = Documents(scheme)

    async def review(request: Request, answer: Review) -> Response:
        body = await bodies.decoded(request)
        if not isinstance(body.value, dict):
            raise errors.BadRequest("a review must be a JSON object")
        return answers.json(answer(body.value, auth.caller(request)), status=201)

    async def access(request: Request) -> Response:
        return await review(request, reviews.access_review)

    async def rules(request: Request) -> Response:
        return await review(request, reviews.rules_review)

    async def whoami(request: Request) -> Response:
        return await review(request, reviews.self_review)

    async def metrics(request: Request) -> Response:
        return Response(await figures(), media_type="text/plain; version=0.0.4")

    async def openapi_index(request: Request) -> Response:
        return answers.json(documents.index())

    async def openapi_document(request: Request) -> Response:
        document = documents.get(request.path_params["path"])
        return answers.no_such_path() if document is None else Response(document, media_type="application/json")

    async def anything(request: Request) -> ASGIApp:
        target = paths.target(request.url.path, scheme.kinds)
        return answers.no_such_path() if target is None else await resources.answer(request, target)

    app = Starlette(
        routes=[
            *(Route(path, _healthy) for path in ("/healthz", "/livez", "/readyz")),
            Route("/version", _version),
            Route("/metrics", metrics),
            Route("/statusz", _telling(statusz)),
            *_discovery_routes(Discovery(scheme.kinds)),
            Route("/openapi/v2", _openapi_v2),
            Route("/openapi/v3", openapi_index),
            Route("/openapi/v3/{path:path}", openapi_document),
            Route("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", access, methods=["POST"]),
            Route("/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", rules, methods=["POST"]),
            Route("/apis/authentication.k8s.io/v1/selfsubjectreviews", whoami, methods=["POST"]),
            Route("/{path:path}", anything, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ],
        exception_handlers={
            errors.ApiError: _failure,
            HTTPException: _refused,
            ClientDisconnect: _left,
            Exception: _broke,
        },
    )
    return auth.authenticated(app, token, user)


def _telling(statusz: Statusz) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return answers.json(statusz())

    return answer


async def _failure(request: Request, error: Exception) -> Response:
    if not isinstance(error, errors.ApiError):
        raise error
    return answers.failure(error)


async def _refused(request: Request, error: Exception) -> Response:
    """What the router refuses by itself: a method that no path takes."""
    return answers.failure(errors.MethodNotAllowed(answers.NOT_ALLOWED))


async def _left(request: Request, error: Exception) -> Response:
    """The client went away before its body was whole: nobody reads this."""
    return Response(status_code=400)


async def _broke(request: Request, error: Exception) -> Response:
    """A fault of ours: the client is told that, and the server logs the error, which goes on upwards from here."""
    return answers.failure(errors.ApiError(f"the server failed to answer: {type(error).__name__}"))


async def _healthy(request: Request) -> Response:
    return PlainTextResponse("ok")


async def _version(request: Request) -> Response:
    major, minor = KUBERNETES
    return answers.json(
        {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{major}.{minor}.0+tidegate",
            "platform": f"{platform.system().lower()}/{platform.machine()}",
        }
    )


async def _openapi_v2(request: Request) -> Response:
    return Response(openapi_v2.document(), media_type=openapi_v2.MEDIA_TYPE)


def _discovery_routes(documents: Discovery) -> list[Route]:
    async def core(request: Request) -> Response:
        return discovered(request, "api", discovery.versions(request.url.netloc))

    async def groups(request: Request) -> Response:
        return discovered(request, "apis", documents.group_list())

    def discovered(request: Request, root: str, plain: Object) -> Response:
        """The aggregated document if the client prefers it, else the plain one."""
        version = negotiation.discovery_version(request.headers.get("accept", ""))
        if version is None:
            return answers.json(plain)
        media_type = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        return answers.json(documents.aggregated(version, root), media_type=media_type)

    async def group(request: Request) -> Response:
        return found(documents.group(request.path_params["group"]))

    async def resources(request: Request) -> Response:
        return found(documents.resource_list(request.path_params.get("group", ""), request.path_params["version"]))

    def found(document: Object | None) -> Response:
        return answers.no_such_path() if document is None else answers.json(document)

    return [
        Route("/api", core),
        Route("/apis", groups),
        Route("/api/{version}", resources),
        Route("/apis/{group}", group),
        Route("/apis/{group}/{version}", resources),
    ]
