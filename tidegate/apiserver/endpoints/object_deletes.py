# SPDX-License-Identifier: Apache-2.0
"""The endpoints that delete: one object, or the selected objects of a collection."""

from starlette.requests import Request
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints import bodies, parameters, responses
from tidegate.apiserver.endpoints.paths import ResourcePath
from tidegate.apiserver.endpoints.views import FullView
from tidegate.apiserver.registry.api import Api
from tidegate.model.registry.deletion import DeleteOptions
from tidegate.model.registry.selectors import selection


class ObjectDeletes:
    """Answers DELETE requests."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def delete(self, request: Request, path: ResourcePath) -> ASGIApp:
        options = await _options(request)
        obj, is_removed = await self._api.delete(path.kind, path.key, options)
        if not is_removed:
            return responses.json(obj)
        details = {
            "name": path.name,
            **({"group": path.kind.group} if path.kind.group else {}),
            "kind": path.kind.plural,
            "uid": obj["metadata"]["uid"],
        }
        head = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
        return responses.json({**head, "status": "Success", "details": details})

    async def delete_all(self, request: Request, path: ResourcePath) -> ASGIApp:
        query = request.query_params
        selected = selection(path.kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        options = await _options(request)
        deleted = await self._api.delete_all(path.kind, path.namespace, selected, options)
        metadata = {"resourceVersion": str(self._api.store.revision)}
        return responses.in_parts(FullView(path.kind).many(deleted, metadata))


async def _options(request: Request) -> DeleteOptions:
    body = await bodies.decoded(request, optional=True)
    return parameters.delete_options(request.query_params, body.value)
