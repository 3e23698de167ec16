# SPDX-License-Identifier: Apache-2.0
"""The routes of the documents by which clients find the served kinds: discovery and OpenAPI, for one scheme."""

from collections.abc import Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidegate.apiserver.endpoints import discovery, negotiation, openapi_v2, responses
from tidegate.apiserver.endpoints.discovery import Discovery
from tidegate.apiserver.endpoints.openapi import Documents
from tidegate.model.objects import Object
from tidegate.model.scheme import Scheme


def routes(scheme: Scheme) -> Iterator[Route]:
    yield from _discovery(Discovery(scheme.kinds))
    yield from _openapi(Documents(scheme))


def _discovery(documents: Discovery) -> Iterator[Route]:
    async def core(request: Request) -> Response:
        return discovered(request, "api", discovery.versions(request.url.netloc))

    async def groups(request: Request) -> Response:
        return discovered(request, "apis", documents.group_list())

    def discovered(request: Request, root: str, plain: Object) -> Response:
        """The aggregated document if the client prefers it, else the plain one."""
        version = negotiation.discovery_version(request.headers.get("accept", ""))
        if version is None:
            return responses.json(plain)
        media_type = f"application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList"
        return responses.json(documents.aggregated(version, root), media_type=media_type)

    async def group(request: Request) -> Response:
        return found(documents.group(request.path_params["group"]))

    async def resources(request: Request) -> Response:
        return found(documents.resource_list(request.path_params.get("group", ""), request.path_params["version"]))

    def found(document: Object | None) -> Response:
        return responses.unknown_path() if document is None else responses.json(document)

    yield Route("/api", core)
    yield Route("/apis", groups)
    yield Route("/api/{version}", resources)
    yield Route("/apis/{group}", group)
    yield Route("/apis/{group}/{version}", resources)


def _openapi(documents: Documents) -> Iterator[Route]:
    async def version_2(request: Request) -> Response:
        return Response(openapi_v2.document(), media_type=openapi_v2.MEDIA_TYPE)

    async def index(request: Request) -> Response:
        return responses.json(documents.index())

    async def document(request: Request) -> Response:
        found = documents.get(request.path_params["path"])
        return responses.unknown_path() if found is None else Response(found, media_type="application/json")

    yield Route("/openapi/v2", version_2)
    yield Route("/openapi/v3", index)
    yield Route("/openapi/v3/{path:path}", document)
