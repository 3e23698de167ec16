# SPDX-License-Identifier: Apache-2.0
"""Admission: each write of an object is decoded, gets its defaults and is checked, before it is stored.

In: an object as its author sent it, the old one on an update, and who writes. Out: the object to store and warnings for
its author; or `BadRequest` or `Invalid`, which name the fields. Pure. Called by: the API server's verbs, between the
read of the old version and the write of the new one.

Each step is that of the kind's `Resource`:

| | Knative's kinds | extensions' kinds | Kubernetes' own |
| --- | --- | --- | --- |
| decode (`schemas`) | drops unknown and empty fields | drops unknown and empty fields | drops nulls only |
| defaults | `defaulting` | the extension's | `defaulting` |
| rejection by the rules | 400, as Knative's webhook | 422, as Kubernetes | 422, as Kubernetes |
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tidegate.model.config import Configs
from tidegate.model.kinds import Kind
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object, is_deleting
from tidegate.model.scheme import Scheme

Check = Callable[[Kind, Object], None]
"""(kind, object with its defaults); raises `BadRequest` or `Invalid`."""


class AdmissionRequest(NamedTuple):
    """Who writes which part of an object."""

    user: str
    subresource: str
    dry_run: bool


class Admitted(NamedTuple):
    """An object with its defaults, and warnings for its author."""

    object: Object
    warnings: Sequence[str] = ()


class Admission:
    """Admission of all kinds in a scheme. `configs` returns the settings that are current."""

    def __init__(self, scheme: Scheme, configs: Callable[[], Configs]) -> None:
        self._scheme = scheme
        self._configs = configs
        self._checks: list[Check] = []

    def add_check(self, check: Check) -> None:
        """Call `check` with each new object and each update, after the rules of its kind."""
        self._checks.append(check)

    def admit(self, kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> Admitted:
        """The object to store. A status update is decoded only: the caller takes its other fields from the old one."""
        resource = self._scheme[kind]
        if request.subresource:
            return Admitted(resource.decoded(new))
        write = self._filled(kind, new, old, request)
        warnings = resource.validate(kind, write)
        if old is None or not is_deleting(old):
            for check in self._checks:
                check(kind, write.new)
        return Admitted(write.new, warnings)

    def defaulted(self, kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> Object:
        """`new` with its defaults, valid or not."""
        return self._filled(kind, new, old, request).new

    def _filled(self, kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> ObjectWrite:
        resource = self._scheme[kind]
        write = ObjectWrite(resource.decoded(new), old, request.user, self._configs(), self._scheme.kinds)
        resource.defaults(write)
        return write
