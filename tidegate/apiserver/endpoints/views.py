# SPDX-License-Identifier: Apache-2.0
"""The forms in which a client reads objects: in full, as metadata only, or as Tables. One view serves one request."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import Response

from tidegate.apiserver.endpoints import negotiation, responses
from tidegate.apiserver.endpoints.responses import LongList
from tidegate.kit.clock import Clock
from tidegate.model import errors
from tidegate.model.admission import Admitted
from tidegate.model.columns import Column
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.resource import Resource
from tidegate.model.scheme import Scheme

Now = Callable[[], datetime]


class ObjectView(Protocol):
    """Makes the JSON of objects in one form."""

    def one(self, obj: Object) -> Any:
        """A single object, e.g. of a watch event."""

    def many(self, objects: Sequence[Object], metadata: Object) -> LongList:
        """A list, with the list's metadata."""

    def bookmark(self, bookmark: Object) -> Any:
        """The object of a BOOKMARK event; it has metadata only."""


class Views:
    """Chooses the view of each request, and answers with single objects."""

    def __init__(self, scheme: Scheme, clock: Clock) -> None:
        self._scheme = scheme
        self._clock = clock

    def requested(self, request: Request, kind: Kind) -> ObjectView:
        """The view that a request asks for. Raises `NotAcceptable`."""
        include = request.query_params.get("includeObject", "")
        return chosen(self._scheme[kind], request.headers.get("accept", ""), include, self._clock.wall)

    def response(self, request: Request, kind: Kind, admitted: Admitted, status: int = 200) -> Response:
        """One object, in the view that the request asks for."""
        view = self.requested(request, kind)
        return responses.json(view.one(admitted.object), status=status, warnings=admitted.warnings)


def chosen(resource: Resource, accept: str, include: str, now: Now) -> ObjectView:
    """The view for an Accept header; `include` is the query's includeObject. Raises `NotAcceptable`."""
    accepted = negotiation.view(accept)
    if accepted.view == "Object":
        return FullView(resource.kind)
    if accepted.view == "Metadata":
        return MetadataView(accepted.version)
    if include not in ("", "Object", "Metadata", "None"):
        raise errors.BadRequest(f'includeObject: Invalid value: "{include}": must be "None", "Metadata" or "Object"')
    return TableView(resource.columns, accepted.version, include or "Metadata", now)


class FullView:
    """Objects in full."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def one(self, obj: Object) -> Any:
        return obj

    def many(self, objects: Sequence[Object], metadata: Object) -> LongList:
        list_kind = {"kind": f"{self._kind.kind}List", "apiVersion": self._kind.api_version}
        return LongList({**list_kind, "metadata": metadata}, "items", objects)

    def bookmark(self, bookmark: Object) -> Any:
        return bookmark


class MetadataView:
    """PartialObjectMetadata."""

    def __init__(self, version: str) -> None:
        self._api_version = f"meta.k8s.io/{version}"

    def one(self, obj: Object) -> Any:
        return {"kind": "PartialObjectMetadata", "apiVersion": self._api_version, "metadata": obj["metadata"]}

    def many(self, objects: Sequence[Object], metadata: Object) -> LongList:
        list_kind = {"kind": "PartialObjectMetadataList", "apiVersion": self._api_version}
        return LongList({**list_kind, "metadata": metadata}, "items", map(self.one, objects))

    def bookmark(self, bookmark: Object) -> Any:
        return self.one(bookmark)


class TableView:
    """Rows of cells. The first Table defines the columns. `include`: the part of its object that each row carries."""

    def __init__(self, columns: Sequence[Column], version: str, include: str, now: Now) -> None:
        self._columns = columns
        self._api_version = f"meta.k8s.io/{version}"
        self._include = include
        self._metadata = MetadataView(version)
        self._now = now
        self._has_columns = False

    def one(self, obj: Object) -> Any:
        head = self._head({"resourceVersion": obj["metadata"].get("resourceVersion", "")})
        return {**head, "rows": [self._row(obj)]}

    def many(self, objects: Sequence[Object], metadata: Object) -> LongList:
        return LongList(self._head(metadata), "rows", map(self._row, objects))

    def bookmark(self, bookmark: Object) -> Any:
        return {**self._head(bookmark["metadata"]), "rows": []}

    def _head(self, metadata: Object) -> Object:
        definitions = None if self._has_columns else list(map(_definition, self._columns))
        self._has_columns = True
        return {
            "kind": "Table",
            "apiVersion": self._api_version,
            "metadata": metadata,
            "columnDefinitions": definitions,
        }

    def _row(self, obj: Object) -> Object:
        now = self._now()
        return {"cells": [column.cell(obj, now) for column in self._columns], "object": self._carried(obj)}

    def _carried(self, obj: Object) -> Any:
        if self._include == "None":
            return None
        return obj if self._include == "Object" else self._metadata.one(obj)


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": "",
        "priority": column.priority,
    }
