# SPDX-License-Identifier: Apache-2.0
"""The API's verbs, on dicts. HTTP requests and in-process clients both end here.

In: a kind, a key, an object or a patch, the user who writes. Out: the object as stored, or an `ApiError`. Each write is
one decision about one object (`Store.change`): read the newest version, apply the request, default and validate the
result (`Versions`), store it. No other write of that object happens in between, so a patch never conflicts by accident.
Called by: `endpoints`, `upkeep`, `inprocess`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tidegate.apiserver.registry import namespace_lifecycle, offload, ownership
from tidegate.apiserver.registry.ownership import FieldManager
from tidegate.apiserver.registry.quota import Ledger
from tidegate.apiserver.registry.reader import Reader
from tidegate.apiserver.registry.versions import Admit, Versions
from tidegate.kit.clock import Clock, RealClock
from tidegate.model import errors, objects
from tidegate.model.admission import AdmissionRequest, Admitted
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import NAMESPACE, Kind
from tidegate.model.objects import Key, Object
from tidegate.model.registry import deletion, metadata, rejections, shape
from tidegate.model.registry.deletion import DeleteOptions
from tidegate.model.registry.patches import Patch
from tidegate.model.registry.selectors import Selection
from tidegate.model.scheme import Scheme
from tidegate.model.user import AUTHENTICATED, User
from tidegate.store.encoding import encoded
from tidegate.store.store import Decide, Store

Subresource = Literal["", "status"]

_APISERVER = User("system:apiserver", ("system:masters", AUTHENTICATED))
_NAME_ATTEMPTS = 8
_DELETIONS_AT_ONCE = 50  # of one request; other work gets its turn in between


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Options of an update or a patch. `manager`: the owner of the fields that change, by default the user."""

    subresource: Subresource = ""
    dry_run: bool = False
    manager: str = ""


@dataclass(frozen=True, slots=True)
class ApplyOptions:
    """Options of a server-side apply. `force`: take over the fields that conflict."""

    manager: FieldManager
    force: bool = False
    dry_run: bool = False


_NO_WRITE_OPTIONS = WriteOptions()
_NO_DELETE_OPTIONS = DeleteOptions()


class Api(Reader):
    """Every verb over one store."""

    def __init__(
        self, store: Store, *, admit: Admit, clock: Clock | None = None, scheme: Scheme = BUILT_IN_SCHEME
    ) -> None:
        super().__init__(store)
        self.scheme = scheme
        self._versions = Versions(admit)
        self._clock = clock or RealClock()
        self.quotas = Ledger(store, scheme.kinds, self._clock)

    async def prepare(self) -> None:
        """Create the initial namespaces that are missing."""
        for name in namespace_lifecycle.INITIAL_NAMESPACES:
            if self.store.get(NAMESPACE.resource, Key("", name)) is None:
                await self.create(NAMESPACE, "", {"metadata": {"name": name}}, user=_APISERVER)

    async def create(self, kind: Kind, namespace: str, obj: Object, *, user: User, dry_run: bool = False) -> Admitted:
        """Store a new object. An object with a generateName gets an unused name."""
        shape.require(kind, obj)
        request = AdmissionRequest(user.name, "", dry_run)
        size = _size(obj)
        attempts = 1 if obj["metadata"].get("name") else _NAME_ATTEMPTS
        while True:
            attempts -= 1
            try:
                new = metadata.created(kind, obj, namespace, self._clock.wall())
                return await self._create(kind, new, request, size)
            except errors.AlreadyExists:
                if not attempts:
                    raise

    async def _create(self, kind: Kind, new: Object, request: AdmissionRequest, size: int) -> Admitted:
        name = new["metadata"].get("name", "")
        namespace = new["metadata"].get("namespace", "")
        warnings: Sequence[str] = ()

        def decide(old: Object | None) -> Object:
            nonlocal warnings
            namespace_lifecycle.require_active(self.store, kind, namespace, name)
            if old is not None:
                raise rejections.already_exists(kind, name)
            admitted = self._versions.first(kind, new, request)
            warnings = admitted.warnings
            return admitted.object

        stored = await self._write(kind, Key(namespace, name), decide, size=size, dry_run=request.dry_run)
        if stored is None:
            raise RuntimeError(f"{kind} {namespace}/{name}: a creation removed the object")
        return Admitted(stored, warnings)

    async def update(
        self, kind: Kind, key: Key, obj: Object, *, user: User, options: WriteOptions = _NO_WRITE_OPTIONS
    ) -> Admitted:
        """Replace the main resource, or the status. `Conflict` when `obj` carries an old resourceVersion."""
        return await self.patch(kind, key, lambda _: obj, user=user, options=options, size=_size(obj))

    async def patch(
        self,
        kind: Kind,
        key: Key,
        patch: Patch,
        *,
        user: User,
        options: WriteOptions = _NO_WRITE_OPTIONS,
        size: int = 0,
    ) -> Admitted:
        """Store the result of `patch` on the newest version. If it changes nothing, nothing is written. `size`: bytes
        that the patch was read from."""
        request = AdmissionRequest(user.name, options.subresource, options.dry_run)
        by = FieldManager(options.manager or user.name, "Update", options.subresource)
        answer: Admitted | None = None

        def decide(old: Object | None) -> Object | None:
            nonlocal answer
            if old is None:
                raise rejections.not_found(kind, key.name)
            wanted = patch(old)

            def own(new: Object) -> Object:
                return ownership.after_write(old, new, wanted["metadata"].get("managedFields"), by, self._clock.wall())

            answer = self._versions.next(kind, old, wanted, request, own)
            return None if deletion.is_complete(kind, answer.object) else answer.object

        stored = await self._write(kind, key, decide, size=size, dry_run=options.dry_run)
        if answer is None:
            raise RuntimeError(f"{kind} {key}: the store did not ask for a decision")
        return Admitted(stored or answer.object, answer.warnings)

    async def apply(
        self, kind: Kind, key: Key, manifest: Object, options: ApplyOptions, *, user: User
    ) -> tuple[Admitted, bool]:
        """Server-side apply: merge the manifest of one manager into the object. Returns the object, and whether it is
        new."""
        shape.require(kind, manifest)
        by = options.manager
        request = AdmissionRequest(user.name, by.subresource, options.dry_run)
        answer: Admitted | None = None
        is_new = False

        def decide(old: Object | None) -> Object:
            nonlocal answer, is_new
            is_new = old is None
            if is_new and by.subresource:
                raise rejections.not_found(kind, key.name)
            now = self._clock.wall()
            wanted = ownership.applied(kind, old or {}, manifest, by, force=options.force)

            def own(new: Object) -> Object:
                return ownership.after_apply(old or {}, new, manifest, by, now)

            if old is None:
                namespace_lifecycle.require_active(self.store, kind, key.namespace, key.name)
                first = self._versions.first(kind, metadata.created(kind, wanted, key.namespace, now), request)
                answer = first._replace(object=own(first.object))
            else:
                answer = self._versions.next(kind, old, wanted, request, own)
            return answer.object

        stored = await self._write(kind, key, decide, size=_size(manifest), dry_run=options.dry_run)
        if answer is None or stored is None:
            raise RuntimeError(f"{kind} {key}: the store did not ask for a decision")
        return Admitted(stored, answer.warnings), is_new

    async def delete(self, kind: Kind, key: Key, options: DeleteOptions = _NO_DELETE_OPTIONS) -> tuple[Object, bool]:
        """Delete, or mark for deletion. Returns the object in its last state, and whether it has been removed."""
        namespace_lifecycle.require_deletable(kind, key.name)
        last: Object = {}

        def decide(old: Object | None) -> Object | None:
            nonlocal last
            if old is None:
                raise rejections.not_found(kind, key.name)
            deletion.require_preconditions(kind, old, options)
            new = deletion.deleted(kind, old, options, self._clock.wall())
            last = old if new is None else new
            return new

        stored = await self._write(kind, key, decide, dry_run=options.dry_run)
        return (last, True) if stored is None else (stored, False)

    async def delete_all(
        self, kind: Kind, namespace: str, selection: Selection | None, options: DeleteOptions
    ) -> Sequence[Object]:
        """Delete the selected objects of a namespace, many at a time. Returns them."""

        async def delete(obj: Object) -> Object | None:
            try:
                return (await self.delete(kind, objects.key(obj), options))[0]
            except errors.NotFound:
                return None  # another request deleted it meanwhile

        selected = (await self.list_offloaded(kind, namespace, selection or Selection())).items
        deleted: list[Object | None] = []
        for first in range(0, len(selected), _DELETIONS_AT_ONCE):
            deleted += await asyncio.gather(*map(delete, selected[first : first + _DELETIONS_AT_ONCE]))
        return [obj for obj in deleted if obj is not None]

    async def _write(self, kind: Kind, key: Key, decide: Decide, *, size: int = 0, dry_run: bool) -> Object | None:
        """Store the decision about an object. `size`: bytes of the request; the work of a decision also grows with the
        stored object."""
        old = self.store.get(kind.resource, key)
        work = size + (0 if old is None else _size(old))

        def run(decision: Callable[[], Object | None]) -> Awaitable[Object | None]:
            return offload.run(decision, work)

        def confirm(new: Object) -> None:
            """Raise unless the new object has a namespace and room in its quotas now."""
            namespace_lifecycle.require_active(
                self.store, kind, new["metadata"].get("namespace", ""), new["metadata"]["name"]
            )
            self.quotas.check(kind, new)

        if not dry_run:
            is_long = work > offload.SMALL
            return await self.store.change(kind.resource, key, decide, run=run if is_long else None, confirm=confirm)
        new = await run(lambda: decide(old))
        if old is None and new is not None:
            confirm(new)
        return new


def _size(obj: Object) -> int:
    """Bytes of the object's JSON: a measure for all other work on it, which takes a few microseconds itself."""
    return len(encoded(obj))
