# SPDX-License-Identifier: Apache-2.0
"""Requests about objects: the table from a method on a resource path to its endpoint."""

from collections.abc import Awaitable, Callable, Mapping

from starlette.requests import Request
from starlette.types import ASGIApp

from tidegate.apiserver.access.tokens import ServiceAccountTokens
from tidegate.apiserver.endpoints import responses
from tidegate.apiserver.endpoints.field_validation import FieldValidation, UnknownFields
from tidegate.apiserver.endpoints.object_deletes import ObjectDeletes
from tidegate.apiserver.endpoints.object_reads import ObjectReads
from tidegate.apiserver.endpoints.object_writes import ObjectWrites
from tidegate.apiserver.endpoints.paths import ResourcePath
from tidegate.apiserver.endpoints.pod_logs import PodLogEndpoints
from tidegate.apiserver.endpoints.pod_sessions import PodSessionEndpoints
from tidegate.apiserver.endpoints.providers import Providers
from tidegate.apiserver.endpoints.streams import Streams
from tidegate.apiserver.endpoints.token_requests import TokenEndpoints
from tidegate.apiserver.endpoints.views import Views
from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import Clock
from tidegate.model import errors

RequestHandler = Callable[[Request, ResourcePath], Awaitable[ASGIApp]]
Methods = Mapping[str, RequestHandler]
"""Endpoints by HTTP method."""


class ObjectEndpoints:
    """Answers every request whose path names a kind."""

    def __init__(
        self,
        api: Api,
        unknown_fields: UnknownFields,
        providers: Providers,
        streams: Streams,
        clock: Clock,
        tokens: ServiceAccountTokens,
    ) -> None:
        views = Views(api.scheme, clock)
        reads = ObjectReads(api, views, streams, clock)
        writes = ObjectWrites(api, views, FieldValidation(unknown_fields))
        deletes = ObjectDeletes(api)
        logs = PodLogEndpoints(api, providers.read_pod_log, providers.ended_pods, streams, clock)
        self._object: Methods = {
            "GET": reads.get,
            "PUT": writes.update,
            "PATCH": writes.patch,
            "DELETE": deletes.delete,
        }
        self._collection: Methods = {"GET": reads.list, "POST": writes.create, "DELETE": deletes.delete_all}
        self._status: Methods = {"GET": reads.get, "PUT": writes.update, "PATCH": writes.patch}
        sessions = PodSessionEndpoints(api, providers.sessions, streams)
        self._others: Mapping[str, Methods] = {
            "log": {"GET": logs.log},
            "ended": {"GET": logs.ended},
            "exec": {"GET": sessions.exec, "POST": sessions.exec},
            "attach": {"GET": sessions.attach, "POST": sessions.attach},
            "portforward": {"GET": sessions.port_forward, "POST": sessions.port_forward},
            "token": {"POST": TokenEndpoints(tokens).create},
        }

    async def answer(self, request: Request, path: ResourcePath) -> ASGIApp:
        """The response to one request. Raises `ApiError`."""
        methods = self._methods(path)
        if methods is None:
            return responses.unknown_path()
        endpoint = methods.get(request.method)
        if endpoint is None:
            raise errors.MethodNotAllowed(responses.NOT_ALLOWED)
        return await endpoint(request, path)

    def _methods(self, path: ResourcePath) -> Methods | None:
        if path.subresource == "status":
            return self._status if path.kind.status else None
        if path.subresource:
            return self._others.get(path.subresource) if path.subresource in path.kind.subresources else None
        return self._object if path.name else self._collection
