# SPDX-License-Identifier: Apache-2.0
"""The endpoints that write objects: create, update, patch, server-side apply."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints import auth, bodies, parameters, responses
from tidegate.apiserver.endpoints.field_validation import FieldValidation
from tidegate.apiserver.endpoints.paths import ResourcePath
from tidegate.apiserver.endpoints.views import Views
from tidegate.apiserver.registry import offload, ownership
from tidegate.apiserver.registry.api import Api, ApplyOptions, WriteOptions
from tidegate.model import errors
from tidegate.model.admission import Admitted
from tidegate.model.objects import Object
from tidegate.model.registry import patches


class ObjectWrites:
    """Answers POST, PUT and PATCH requests, in the name of the request's user."""

    def __init__(self, api: Api, views: Views, validation: FieldValidation) -> None:
        self._api = api
        self._views = views
        self._validation = validation

    async def create(self, request: Request, path: ResourcePath) -> ASGIApp:
        if path.kind.namespaced and not path.namespace:
            raise errors.MethodNotAllowed(responses.NOT_ALLOWED)
        body = await bodies.decoded(request)
        warnings = await self._validation.warnings(request, path.kind, body)
        dry_run = parameters.dry_run(request.query_params)
        admitted = await self._api.create(
            path.kind, path.namespace, body.value, user=auth.caller(request), dry_run=dry_run
        )
        return self._views.response(request, path.kind, _with_warnings(admitted, warnings), 201)

    async def update(self, request: Request, path: ResourcePath) -> ASGIApp:
        body = await bodies.decoded(request)
        warnings = await self._validation.warnings(request, path.kind, body)
        return await self._write(request, path, lambda _: body.value, warnings, body.size)

    async def patch(self, request: Request, path: ResourcePath) -> ASGIApp:
        media_type = bodies.media_type(request, "")
        if media_type == patches.APPLY:
            return await self._apply(request, path)
        is_accepted = media_type in patches.types(path.kind)
        body = await bodies.from_json(await bodies.read(request)) if is_accepted else bodies.EMPTY
        patch = await offload.run(lambda: patches.parsed(path.kind, media_type, body.value), body.size)
        warnings: list[str] = []

        def checked(old: Object) -> Any:
            new = patch(old)
            warnings[:] = self._validation.warnings_of_change(request, path.kind, old, new, body)
            return new

        return await self._write(request, path, checked, warnings, body.size)

    async def _write(
        self, request: Request, path: ResourcePath, patch: patches.Patch, warnings: list[str], size: int
    ) -> ASGIApp:
        options = WriteOptions(
            subresource="status" if path.subresource == "status" else "",
            dry_run=parameters.dry_run(request.query_params),
            manager=_manager(request),
        )
        user = auth.caller(request)
        admitted = await self._api.patch(path.kind, path.key, patch, user=user, options=options, size=size)
        return self._views.response(request, path.kind, _with_warnings(admitted, warnings))

    async def _apply(self, request: Request, path: ResourcePath) -> ASGIApp:
        query = request.query_params
        by = ownership.manager(query.get("fieldManager", ""), "Apply", path.subresource)
        body = await bodies.from_yaml(await bodies.read(request))
        warnings = await self._validation.warnings(request, path.kind, body)
        options = ApplyOptions(by, force=parameters.flag(query, "force"), dry_run=parameters.dry_run(query))
        admitted, is_new = await self._api.apply(path.kind, path.key, body.value, options, user=auth.caller(request))
        return self._views.response(request, path.kind, _with_warnings(admitted, warnings), 201 if is_new else 200)


def _manager(request: Request) -> str:
    """The owner of the fields that a write changes: `fieldManager`, by default the name of the client's program."""
    program = request.headers.get("user-agent", "").partition("/")[0]
    return ownership.manager(request.query_params.get("fieldManager") or program or "unknown", "Update").name


def _with_warnings(admitted: Admitted, warnings: Sequence[str]) -> Admitted:
    return admitted._replace(warnings=[*warnings, *admitted.warnings])
