# SPDX-License-Identifier: Apache-2.0
"""The endpoints that read objects: get, list, watch."""

from starlette.requests import Request
from starlette.types import ASGIApp

from tidegate.apiserver.endpoints import parameters, responses, watch
from tidegate.apiserver.endpoints.paths import ResourcePath
from tidegate.apiserver.endpoints.streams import StreamResponse, Streams
from tidegate.apiserver.endpoints.views import Views
from tidegate.apiserver.registry.reader import Reader
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.admission import Admitted
from tidegate.model.objects import Object


class ObjectReads:
    """Answers GET requests."""

    def __init__(self, reader: Reader, views: Views, streams: Streams, clock: Clock) -> None:
        self._reader = reader
        self._views = views
        self._streams = streams
        self._clock = clock

    async def get(self, request: Request, path: ResourcePath) -> ASGIApp:
        if parameters.flag(request.query_params, "watch"):
            return self._watch(request, path)
        return self._views.response(request, path.kind, Admitted(self._reader.get(path.kind, path.key)))

    async def list(self, request: Request, path: ResourcePath) -> ASGIApp:
        if parameters.flag(request.query_params, "watch"):
            return self._watch(request, path)
        options = parameters.list_options(path.kind, request.query_params)
        self._require_revision(max(options.at or 0, options.at_least))
        page = await self._reader.list_offloaded(
            path.kind, path.namespace, options.selection, at=options.at, after=options.after, limit=options.limit
        )
        metadata: Object = {"resourceVersion": str(page.revision)}
        if page.last is not None:
            metadata["continue"] = parameters.continuation(page.revision, page.last)
            if not options.selection:
                metadata["remainingItemCount"] = page.remaining
        return responses.in_parts(self._views.requested(request, path.kind).many(page.items, metadata))

    def _watch(self, request: Request, path: ResourcePath) -> ASGIApp:
        options = parameters.watch_options(path.kind, request.query_params, path.name)
        self._require_revision(options.at_least)
        view = self._views.requested(request, path.kind)
        frames = watch.frames(self._reader, path.kind, path.namespace, options, view, self._clock)
        return StreamResponse(self._streams, frames, "application/json")

    def _require_revision(self, wanted: int) -> None:
        """Raise `Timeout` if the store has not reached a revision."""
        current = self._reader.store.revision
        if wanted > current:
            cause = errors.Cause("ResourceVersionTooLarge", "Too large resource version", "")
            message = f"Timeout: Too large resource version: {wanted}, current: {current}"
            raise errors.Timeout(message, causes=(cause,), details={"retryAfterSeconds": 1})
