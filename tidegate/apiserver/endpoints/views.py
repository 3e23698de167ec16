# SPDX-License-Identifier: Apache-2.0
"""How one client sees objects: whole, their metadata alone, or as Tables. One view serves one request."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Protocol

from tidegate.apiserver.endpoints import negotiation
from tidegate.apiserver.endpoints.answers import Listed
from tidegate.model import errors
from tidegate.model.columns import Column
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.resource import Resource

Now = Callable[[], datetime]


class View(Protocol):
    def one(self, obj: Object) -> Any:
        """A single object, also that of a watch event."""

    def many(self, objects: Sequence[Object], metadata: Object) -> Listed:
        """A list, with the list's metadata."""

    def bookmark(self, bookmark: Object) -> Any:
        """The object of a BOOKMARK event, which has metadata only."""


def chosen(resource: Resource, accept: str, include: str, now: Now) -> View:
    """The view that the Accept header asks for; `include` is the query's includeObject. Raises `NotAcceptable`."""
    accepted = negotiation.view(accept)
    if accepted.view == "Object":
        return Whole(resource.kind)
    if accepted.view == "Metadata":
        return Metadata(accepted.version)
    if include not in ("", "Object", "Metadata", "None"):
        raise errors.BadRequest(f'includeObject: Invalid value: "{include}": must be "None", "Metadata" or "Object"')
    return Table(resource.columns, accepted.version, include or "Metadata", now)


class Whole:
    """Objects as they are."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def one(self, obj: Object) -> Any:
        return obj

    def many(self, objects: Sequence[Object], metadata: Object) -> Listed:
        list_kind = {"kind": f"{self._kind.kind}List", "apiVersion": self._kind.api_version}
        return Listed({**list_kind, "metadata": metadata}, "items", objects)

    def bookmark(self, bookmark: Object) -> Any:
        return bookmark


class Metadata:
    """PartialObjectMetadata."""

    def __init__(self, version: str) -> None:
        self._api_version = f"meta.k8s.io/{version}"

    def one(self, obj: Object) -> Any:
        return {"kind": "PartialObjectMetadata", "apiVersion": self._api_version, "metadata": obj["metadata"]}

    def many(self, objects: Sequence[Object], metadata: Object) -> Listed:
        list_kind = {"kind": "PartialObjectMetadataList", "apiVersion": self._api_version}
        return Listed({**list_kind, "metadata": metadata}, "items", map(self.one, objects))

    def bookmark(self, bookmark: Object) -> Any:
        return self.one(bookmark)


class Table:
    """Rows of cells; columns are told once, in the first Table. `include`: what each row carries of its object."""

    def __init__(self, columns: Sequence[Column], version: str, include: str, now: Now) -> None:
        self._columns = columns
        self._api_version = f"meta.k8s.io/{version}"
        self._include = include
        self._metadata = Metadata(version)
        self._now = now
        self._told = False

    def one(self, obj: Object) -> Any:
        head = self._head({"resourceVersion": obj["metadata"].get("resourceVersion", "")})
        return {**head, "rows": [self._row(obj)]}

    def many(self, objects: Sequence[Object], metadata: Object) -> Listed:
        return Listed(self._head(metadata), "rows", map(self._row, objects))

    def bookmark(self, bookmark: Object) -> Any:
        return {**self._head(bookmark["metadata"]), "rows": []}

    def _head(self, metadata: Object) -> Object:
        definitions = None if self._told else list(map(_definition, self._columns))
        self._told = True
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
