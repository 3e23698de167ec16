# SPDX-License-Identifier: Apache-2.0
"""Requests about objects: what a method on a path asks of the verbs, and the answer in the form the client accepts."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from starlette.requests import Request
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints import answers, auth, bodies, parameters, views, watch
from tidegate.apiserver.endpoints.paths import Target
from tidegate.apiserver.endpoints.streams import Stream, Streams
from tidegate.apiserver.registry import aside, ownership
from tidegate.apiserver.registry.verbs import Api
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.admission import Admitted
from tidegate.model.kinds import NAMESPACE, POD, Kind
from tidegate.model.logs import LogOptions
from tidegate.model.names import DEFAULT_CONTAINER
from tidegate.model.objects import Key, Object, annotations, spec
from tidegate.model.registry import deletion, metadata, patches
from tidegate.model.registry.selectors import selection

PodLogs = Callable[[Object, str, LogOptions], AsyncIterator[bytes]]
"""(Pod, container, options) -> the log's bytes; raises `ApiError` before the first where there is none."""


class EndedInstances(Protocol):
    """The Pods that are gone, and whose logs `PodLogs` still has."""

    def of(self, service: Key) -> Sequence[Object]:
        """Those of a service, the oldest first."""

    def pod(self, name: Key) -> Object | None:
        """The one of that name that ended last."""


UnknownFields = Callable[[Kind, Object], Sequence[str]]
"""(kind, object) -> the JSON paths of fields the kind does not have."""

Verb = Callable[[Request, Target], Awaitable[ASGIApp]]
Verbs = Mapping[str, Verb]
"""By method."""


class Resources:
    """All requests to paths that `paths.target` understands."""

    def __init__(
        self,
        api: Api,
        *,
        clock: Clock,
        streams: Streams,
        pod_logs: PodLogs,
        ended: EndedInstances,
        unknown_fields: UnknownFields,
    ) -> None:
        self._api = api
        self._clock = clock
        self._streams = streams
        self._pod_logs = pod_logs
        self._ended = ended
        self._unknown_fields = unknown_fields

    async def answer(self, request: Request, target: Target) -> ASGIApp:
        """The response to one request. Raises `ApiError`."""
        if target.subresource:
            return await self._answer_subresource(request, target)
        verbs: Verbs = (
            {"GET": self._get, "PUT": self._update, "PATCH": self._patch, "DELETE": self._delete}
            if target.name
            else {"GET": self._list, "POST": self._create, "DELETE": self._delete_all}
        )
        return await _verb(verbs, request)(request, target)

    async def _answer_subresource(self, request: Request, target: Target) -> ASGIApp:
        subresources: dict[str, Verbs] = {}
        if target.kind.status:
            subresources["status"] = {"GET": self._get, "PUT": self._update, "PATCH": self._patch}
        readers = {"log": self._log, "ended": self._ended_instances}
        subresources |= {name: {"GET": readers[name]} for name in target.kind.subresources}
        verbs = subresources.get(target.subresource)
        if verbs is None:
            return answers.no_such_path()
        return await _verb(verbs, request)(request, target)

    # Reading

    async def _get(self, request: Request, target: Target) -> ASGIApp:
        if parameters.flag(request.query_params, "watch"):
            return self._watch(request, target)
        return self._shown(request, target.kind, Admitted(self._api.get(target.kind, target.key)))

    async def _list(self, request: Request, target: Target) -> ASGIApp:
        if parameters.flag(request.query_params, "watch"):
            return self._watch(request, target)
        asked = parameters.listed(target.kind, request.query_params)
        self._require_revision(max(asked.at or 0, asked.at_least))
        page = await self._api.list_aside(
            target.kind, target.namespace, asked.selection, at=asked.at, after=asked.after, limit=asked.limit
        )
        metadata: Object = {"resourceVersion": str(page.revision)}
        if page.last is not None:
            metadata["continue"] = parameters.continuation(page.revision, page.last)
            if not asked.selection:
                metadata["remainingItemCount"] = page.remaining
        return answers.in_parts(self._view(request, target.kind).many(page.items, metadata))

    def _watch(self, request: Request, target: Target) -> ASGIApp:
        asked = parameters.watched(target.kind, request.query_params, target.name)
        self._require_revision(asked.at_least)
        view = self._view(request, target.kind)
        frames = watch.frames(self._api, target.kind, target.namespace, asked, view, self._clock)
        return Stream(self._streams, frames, "application/json")

    async def _log(self, request: Request, target: Target) -> ASGIApp:
        options = parameters.log_options(request.query_params, self._clock.wall())
        pod = self._pod(target.key)
        container = _container(pod, request.query_params.get("container", ""))
        return Stream(self._streams, self._pod_logs(pod, container, options), "text/plain")

    def _pod(self, name: Key) -> Object:
        """The Pod, or the one that was there and whose log is kept."""
        try:
            return self._api.get(POD, name)
        except errors.NotFound:
            ended = self._ended.pod(name)
            if ended is None or not self._is_of_namespace(ended):
                raise
            return ended

    async def _ended_instances(self, request: Request, target: Target) -> ASGIApp:
        """The Pods of a service's instances that have ended and whose logs are kept; also of a service that is gone."""
        found = [pod for pod in self._ended.of(target.key) if self._is_of_namespace(pod)]
        return answers.json({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found})

    def _is_of_namespace(self, ended: Object) -> bool:
        """Whether it ran in the namespace that is there now, and not in an earlier one of that name, whose users may
        have been others."""
        try:
            namespace = self._api.get(NAMESPACE, Key("", ended["metadata"]["namespace"]))
        except errors.NotFound:
            return False
        return bool(namespace["metadata"]["creationTimestamp"] <= ended["metadata"]["creationTimestamp"])

    def _require_revision(self, wanted: int) -> None:
        current = self._api.store.revision
        if wanted > current:
            cause = errors.Cause("ResourceVersionTooLarge", "Too large resource version", "")
            message = f"Timeout: Too large resource version: {wanted}, current: {current}"
            raise errors.Timeout(message, causes=(cause,), details={"retryAfterSeconds": 1})

    def _view(self, request: Request, kind: Kind) -> views.View:
        include = request.query_params.get("includeObject", "")
        return views.chosen(self._api.scheme[kind], request.headers.get("accept", ""), include, self._clock.wall)

    def _shown(self, request: Request, kind: Kind, admitted: Admitted, status: int = 200) -> ASGIApp:
        view = self._view(request, kind)
        return answers.json(view.one(admitted.object), status=status, warnings=admitted.warnings)

    # Writing

    async def _create(self, request: Request, target: Target) -> ASGIApp:
        if target.kind.namespaced and not target.namespace:
            raise errors.MethodNotAllowed(answers.NOT_ALLOWED)
        body = await bodies.decoded(request)
        warnings = await self._checked(request, target.kind, body)
        admitted = await self._api.create(
            target.kind,
            target.namespace,
            body.value,
            user=auth.caller(request),
            dry_run=parameters.dry_run(request.query_params),
        )
        return self._shown(request, target.kind, _warned(admitted, warnings), 201)

    async def _update(self, request: Request, target: Target) -> ASGIApp:
        body = await bodies.decoded(request)
        warnings = await self._checked(request, target.kind, body)
        return await self._write(request, target, lambda _: body.value, warnings, body.size)

    async def _patch(self, request: Request, target: Target) -> ASGIApp:
        media_type = bodies.media_type(request, "")
        if media_type == patches.APPLY:
            return await self._apply(request, target)
        body = (
            await bodies.from_json(await bodies.read(request))
            if media_type in patches.types(target.kind)
            else bodies.EMPTY
        )
        patch = await aside.run(lambda: patches.parsed(target.kind, media_type, body.value), body.size)
        warnings: list[str] = []

        def checked(old: Object) -> Any:
            new = patch(old)
            metadata.shaped(target.kind, new)
            known = frozenset(self._unknown_fields(target.kind, old))
            warnings[:] = self._field_warnings(request, target.kind, new, body.duplicates, known)
            return new

        return await self._write(request, target, checked, warnings, body.size)

    async def _apply(self, request: Request, target: Target) -> ASGIApp:
        query = request.query_params
        by = ownership.manager(query.get("fieldManager", ""), "Apply", target.subresource)
        body = await bodies.from_yaml(await bodies.read(request))
        warnings = await self._checked(request, target.kind, body)
        admitted, is_new = await self._api.apply(
            target.kind,
            target.key,
            body.value,
            by=by,
            force=parameters.flag(query, "force"),
            user=auth.caller(request),
            dry_run=parameters.dry_run(query),
        )
        return self._shown(request, target.kind, _warned(admitted, warnings), 201 if is_new else 200)

    async def _write(
        self, request: Request, target: Target, patch: patches.Patch, warnings: list[str], size: int
    ) -> ASGIApp:
        admitted = await self._api.patch(
            target.kind,
            target.key,
            patch,
            user=auth.caller(request),
            subresource="status" if target.subresource == "status" else "",
            dry_run=parameters.dry_run(request.query_params),
            manager=_manager(request),
            size=size,
        )
        return self._shown(request, target.kind, _warned(admitted, warnings))

    async def _checked(self, request: Request, kind: Kind, body: bodies.Body) -> list[str]:
        """What is to be said of the fields of a body that is an object of the kind."""

        def check() -> list[str]:
            metadata.shaped(kind, body.value)
            return self._field_warnings(request, kind, body.value, body.duplicates)

        return await aside.run(check, body.size)

    def _field_warnings(
        self,
        request: Request,
        kind: Kind,
        obj: Object,
        duplicates: Sequence[str],
        known: frozenset[str] = frozenset(),
    ) -> list[str]:
        """What is to be said of fields that `kind` does not have or that came twice; refused where that is asked for.
        `known`: fields that were there before."""
        mode = parameters.field_validation(request.query_params)
        if mode == "Ignore":
            return []
        unknown = [path for path in self._unknown_fields(kind, obj) if path not in known]
        told = [f'unknown field "{path}"' for path in unknown] + [f'duplicate field "{path}"' for path in duplicates]
        if told and mode == "Strict":
            what = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
            raise errors.BadRequest(f"{what}: strict decoding error: {', '.join(told)}")
        return told

    async def _delete(self, request: Request, target: Target) -> ASGIApp:
        options = await self._delete_options(request)
        obj, gone = await self._api.delete(target.kind, target.key, options)
        if not gone:
            return answers.json(obj)
        details = {
            "name": target.name,
            **({"group": target.kind.group} if target.kind.group else {}),
            "kind": target.kind.plural,
            "uid": obj["metadata"]["uid"],
        }
        head = {"kind": "Status", "apiVersion": "v1", "metadata": {}}
        return answers.json({**head, "status": "Success", "details": details})

    async def _delete_all(self, request: Request, target: Target) -> ASGIApp:
        query = request.query_params
        selected = selection(target.kind, query.get("labelSelector", ""), query.get("fieldSelector", ""))
        options = await self._delete_options(request)
        deleted = await self._api.delete_all(target.kind, target.namespace, selected, options)
        return answers.in_parts(
            views.Whole(target.kind).many(deleted, {"resourceVersion": str(self._api.store.revision)})
        )

    async def _delete_options(self, request: Request) -> deletion.Options:
        body = await bodies.decoded(request, optional=True)
        return parameters.delete_options(request.query_params, body.value)


def _manager(request: Request) -> str:
    """Who owns what a write changes: as the client says, else its program's name."""
    program = request.headers.get("user-agent", "").partition("/")[0]
    return ownership.manager(request.query_params.get("fieldManager") or program or "unknown", "Update").name


def _verb(verbs: Verbs, request: Request) -> Verb:
    verb = verbs.get(request.method)
    if verb is None:
        raise errors.MethodNotAllowed(answers.NOT_ALLOWED)
    return verb


def _container(pod: Object, asked: str) -> str:
    """The container whose log is meant: the one asked for, else the default one, else the first."""
    names = [container["name"] for container in spec(pod).get("containers") or ()]
    default = annotations(pod).get(DEFAULT_CONTAINER, "")
    container = asked or (default if default in names else next(iter(names), ""))
    if container not in names:
        raise errors.BadRequest(f"container {container} is not valid for pod {pod['metadata']['name']}")
    return container


def _warned(admitted: Admitted, warnings: Sequence[str]) -> Admitted:
    return admitted._replace(warnings=[*warnings, *admitted.warnings])
