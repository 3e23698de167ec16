# SPDX-License-Identifier: Apache-2.0
"""The scheme: all resources that one API serves, found by their kind. Kubernetes uses the same word.

In: `Resource`s. Out: the same, and their `Kinds`. Called by: the composition makes one scheme of
`groups.BUILT_IN_SCHEME` and the extensions; the API server, admission and informers iterate over it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tidegate.model.kinds import Kind, Kinds
from tidegate.model.objects import Object
from tidegate.model.resource import Resource


class Scheme:
    """Resources in order. Raises ValueError if two of them have the same name."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        listed = tuple(resources)
        self.kinds = Kinds(resource.kind for resource in listed)
        self._resources: Mapping[Kind, Resource] = {resource.kind: resource for resource in listed}

    def __iter__(self) -> Iterator[Resource]:
        return iter(self._resources.values())

    def __getitem__(self, kind: Kind) -> Resource:
        """The resource of a kind; KeyError if the kind is not served."""
        return self._resources[kind]

    def extended(self, resources: Iterable[Resource]) -> "Scheme":
        """A scheme with more resources."""
        return Scheme((*self, *resources))

    def schema(self, kind: Kind) -> Object:
        """The OpenAPI v3 schema of a kind."""
        return self[kind].openapi()

    def unknown_fields(self, kind: Kind, obj: Object) -> Sequence[str]:
        """The paths of fields that the kind does not have."""
        return self[kind].unknown_fields(obj)
