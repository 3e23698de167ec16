# SPDX-License-Identifier: Apache-2.0
"""The next version of an object: the rules that every write passes, in order.

In: the object that a caller wants, and the stored one. Out: the object to store, with warnings; or an `ApiError`.
Called by `Api` inside the store's decision about one object. Pure, except for the `admit` function that it is given.

| | on creation | on update |
| --- | --- | --- |
| metadata (`metadata`) | the caller (`metadata.created`) | what the server keeps, from the old version |
| the halves, spec and status (`strategy`) | the initial status | the half that the request may write |
| admission (`admit`) | defaults, validation | defaults, validation |
| metadata (`metadata_validation`) | checked | checked |
| owners of fields (`own`) | the caller | written down |
| generation | 1 | raised if the spec changes |
"""

from collections.abc import Callable

from tidegate.model.admission import AdmissionRequest, Admitted
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.registry import metadata, metadata_validation, strategy

Admit = Callable[[Kind, Object, Object | None, AdmissionRequest], Admitted]
"""(kind, new, old, request) -> the object to store; raises `Invalid` or `BadRequest`."""

Own = Callable[[Object], Object]
"""The object with the owners of its fields."""


class Versions:
    """Makes versions of objects with one admission function."""

    def __init__(self, admit: Admit) -> None:
        self._admit = admit

    def first(self, kind: Kind, new: Object, request: AdmissionRequest) -> Admitted:
        """The first version of an object; `new` has the metadata of `metadata.created`."""
        admitted = self._admit(kind, strategy.initial(kind, new), None, request)
        metadata_validation.check(kind, admitted.object)
        return admitted

    def next(self, kind: Kind, old: Object, wanted: Object, request: AdmissionRequest, own: Own) -> Admitted:
        """The version after `old`; `old` itself if nothing changes."""
        new = metadata.updated(kind, wanted, old)
        new = strategy.merged_status(new, old) if request.subresource else strategy.merged(kind, new, old)
        admitted = self._admit(kind, new, old, request)
        metadata_validation.check(kind, admitted.object, old)
        owned = own(admitted.object)
        if owned == old:
            return Admitted(old, admitted.warnings)
        return Admitted(metadata.counted(kind, owned, old), admitted.warnings)
