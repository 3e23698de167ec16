# SPDX-License-Identifier: Apache-2.0
"""The API's verbs, on dicts: what HTTP requests and in-process clients both end in.

In: a kind, a key, an object or a patch, who asks. Out: the object as stored, or an `ApiError`. Each write is one
decision about one object (`Store.change`): read the newest version, apply what is asked, default and validate it
(`admit`), store it. Between reading and storing nothing else can write that object, so a patch never conflicts by
accident.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Literal

from tidegate.apiserver.registry import aside, ownership
from tidegate.apiserver.registry.ownership import Manager
from tidegate.apiserver.registry.quota import Ledger
from tidegate.kit.clock import Clock, RealClock
from tidegate.model import errors, objects
from tidegate.model.admission import Admitted, Request
from tidegate.model.groups import BUILT_IN
from tidegate.model.kinds import NAMESPACE, Kind
from tidegate.model.names import SYSTEM_NAMESPACE
from tidegate.model.objects import Key, Object, is_deleting
from tidegate.model.registry import deletion, metadata, refusals, strategy
from tidegate.model.registry.patches import Patch
from tidegate.model.registry.selectors import Selection
from tidegate.model.scheme import Scheme
from tidegate.model.user import AUTHENTICATED, User
from tidegate.store.encoding import encoded
from tidegate.store.snapshot import Page
from tidegate.store.store import Decide, Store
from tidegate.store.watch import Watch

Subresource = Literal["", "status"]

FIRST_NAMESPACES = ("default", "kube-system", SYSTEM_NAMESPACE)
_APISERVER = User("system:apiserver", ("system:masters", AUTHENTICATED))
_NAME_ATTEMPTS = 8
_AT_ONCE = 50  # deletions of one request, with nothing else in between
_SELECTION_WORK = 8  # of a term on an object, in bytes of JSON to read
_AS_USUAL = deletion.Options()


Admit = Callable[[Kind, Object, Object | None, Request], Admitted]
"""(kind, new, old, request) -> the object to store; raises `Invalid` or `BadRequest`."""


Own = Callable[[Object], Object]
"""The object with who owns its fields."""


class Api:
    """Every verb over one store."""

    def __init__(self, store: Store, *, admit: Admit, clock: Clock | None = None, scheme: Scheme = BUILT_IN) -> None:
        self.store = store
        self.scheme = scheme
        self.quotas = Ledger(store, scheme.kinds)
        self._admit = admit
        self._clock = clock or RealClock()

    async def prepare(self) -> None:
        """Make the namespaces that are always there."""
        for name in FIRST_NAMESPACES:
            if self.store.get(NAMESPACE.resource, Key("", name)) is None:
                await self.create(NAMESPACE, "", {"metadata": {"name": name}}, user=_APISERVER)

    def get(self, kind: Kind, key: Key) -> Object:
        obj = self.store.get(kind.resource, key)
        if obj is None:
            raise refusals.not_found(kind, key.name)
        return obj

    def list(
        self,
        kind: Kind,
        namespace: str = "",
        selection: Selection | None = None,
        *,
        at: int | None = None,
        after: Key | None = None,
        limit: int = 0,
    ) -> Page:
        """The selected objects of a namespace ("": all), in key order; see `Store.page`."""
        if selection and selection.name and at is None and (namespace or not kind.namespaced):
            obj = self.store.get(kind.resource, Key(namespace, selection.name))
            return Page([obj] if obj is not None and selection(obj) else [], self.store.revision, None, 0)
        select = selection or None
        return self.store.page(kind.resource, namespace, select=select, at=at, after=after, limit=limit)

    async def list_aside(
        self,
        kind: Kind,
        namespace: str,
        selection: Selection,
        *,
        at: int | None = None,
        after: Key | None = None,
        limit: int = 0,
    ) -> Page:
        """The same as `list`, where the selection may be long and the objects many."""
        if selection.name and at is None and (namespace or not kind.namespaced):
            return self.list(kind, namespace, selection)
        snapshot = self.store.snapshot(kind.resource, namespace, at=at, after=after)
        work = _SELECTION_WORK * len(snapshot.objects) * len(selection.tests)
        return await aside.run(lambda: snapshot.page(selection or None, limit), work)

    def watch(
        self, kind: Kind, namespace: str = "", selection: Selection | None = None, *, since: int
    ) -> AbstractContextManager[Watch]:
        one = selection.name if selection and (namespace or not kind.namespaced) else ""
        key = Key(namespace, one) if one else None
        return self.store.watch(kind.resource, namespace, since=since, select=selection or None, key=key)

    async def create(self, kind: Kind, namespace: str, obj: Object, *, user: User, dry_run: bool = False) -> Admitted:
        """Store a new object; one with a generateName gets a name that is free."""
        metadata.shaped(kind, obj)
        request = Request(user.name, "", dry_run)
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

    async def _create(self, kind: Kind, new: Object, request: Request, size: int) -> Admitted:
        name = new["metadata"].get("name", "")
        namespace = new["metadata"].get("namespace", "")
        warnings: Sequence[str] = ()

        def decide(old: Object | None) -> Object:
            nonlocal warnings
            self._require_namespace(kind, namespace, name)
            if old is not None:
                raise refusals.already_exists(kind, name)
            admitted = self._first(kind, new, request)
            warnings = admitted.warnings
            return admitted.object

        stored = await self._write(kind, Key(namespace, name), decide, size=size, dry_run=request.dry_run)
        if stored is None:
            raise RuntimeError(f"{kind} {namespace}/{name}: a creation that removes")
        return Admitted(stored, warnings)

    def _first(self, kind: Kind, new: Object, request: Request) -> Admitted:
        """The first version of an object."""
        admitted = self._admit(kind, strategy.initial(kind, new), None, request)
        metadata.check(kind, admitted.object)
        return admitted

    def _confirm(self, kind: Kind, new: Object) -> None:
        """Raise unless there is room for a new object now."""
        self._require_namespace(kind, new["metadata"].get("namespace", ""), new["metadata"]["name"])
        self.quotas.check(kind, new)

    def _require_namespace(self, kind: Kind, namespace: str, name: str) -> None:
        if not kind.namespaced:
            return
        found = self.store.get(NAMESPACE.resource, Key("", namespace))
        if found is None:
            raise refusals.no_namespace(namespace)
        if is_deleting(found):
            raise refusals.terminating(kind, name, namespace)

    async def update(
        self,
        kind: Kind,
        key: Key,
        obj: Object,
        *,
        user: User,
        subresource: Subresource = "",
        dry_run: bool = False,
        manager: str = "",
    ) -> Admitted:
        """Replace the main resource, or the status. `Conflict` when `obj` carries an old resourceVersion."""
        return await self.patch(
            kind,
            key,
            lambda _: obj,
            user=user,
            subresource=subresource,
            dry_run=dry_run,
            manager=manager,
            size=_size(obj),
        )

    async def patch(
        self,
        kind: Kind,
        key: Key,
        patch: Patch,
        *,
        user: User,
        subresource: Subresource = "",
        dry_run: bool = False,
        manager: str = "",
        size: int = 0,
    ) -> Admitted:
        """Store what `patch` makes of the newest version. One that changes nothing is no write. `manager`: who owns
        what changes, if not the user. `size`: of what the patch was read from, in bytes."""
        request = Request(user.name, subresource, dry_run)
        by = Manager(manager or user.name, "Update", subresource)
        answer: Admitted | None = None

        def decide(old: Object | None) -> Object | None:
            nonlocal answer
            if old is None:
                raise refusals.not_found(kind, key.name)
            wanted = patch(old)

            def own(new: Object) -> Object:
                return ownership.after_write(old, new, wanted["metadata"].get("managedFields"), by, self._clock.wall())

            answer = self._next(kind, old, wanted, request, own)
            return None if deletion.is_over(kind, answer.object) else answer.object

        stored = await self._write(kind, key, decide, size=size, dry_run=dry_run)
        if answer is None:
            raise RuntimeError(f"{kind} {key}: the store did not ask for a decision")
        return Admitted(stored or answer.object, answer.warnings)

    async def apply(
        self, kind: Kind, key: Key, manifest: Object, *, by: Manager, force: bool, user: User, dry_run: bool = False
    ) -> tuple[Admitted, bool]:
        """Server-side apply: make the object what its managers ask for together. Returns it, and whether it is new."""
        metadata.shaped(kind, manifest)
        request = Request(user.name, by.subresource, dry_run)
        answer: Admitted | None = None
        is_new = False

        def decide(old: Object | None) -> Object:
            nonlocal answer, is_new
            is_new = old is None
            if is_new and by.subresource:
                raise refusals.not_found(kind, key.name)
            now = self._clock.wall()
            wanted = ownership.applied(kind, old or {}, manifest, by, force=force)

            def own(new: Object) -> Object:
                return ownership.after_apply(old or {}, new, manifest, by, now)

            if old is None:
                self._require_namespace(kind, key.namespace, key.name)
                answer = self._first(kind, metadata.created(kind, wanted, key.namespace, now), request)
                answer = answer._replace(object=own(answer.object))
            else:
                answer = self._next(kind, old, wanted, request, own)
            return answer.object

        stored = await self._write(kind, key, decide, size=_size(manifest), dry_run=dry_run)
        if answer is None or stored is None:
            raise RuntimeError(f"{kind} {key}: the store did not ask for a decision")
        return Admitted(stored, answer.warnings), is_new

    def _next(self, kind: Kind, old: Object, wanted: Object, request: Request, own: Own) -> Admitted:
        """The version after `old`: `old` itself where nothing changes."""
        new = metadata.updated(kind, wanted, old)
        new = strategy.merged_status(new, old) if request.subresource else strategy.merged(kind, new, old)
        admitted = self._admit(kind, new, old, request)
        metadata.check(kind, admitted.object, old)
        owned = own(admitted.object)
        if owned == old:
            return Admitted(old, admitted.warnings)
        return Admitted(metadata.counted(kind, owned, old), admitted.warnings)

    async def delete(self, kind: Kind, key: Key, options: deletion.Options = _AS_USUAL) -> tuple[Object, bool]:
        """Delete, or begin to. Returns the object in its last state, and whether it is gone."""
        if kind is NAMESPACE and key.name in FIRST_NAMESPACES:
            raise refusals.forbidden(kind, key.name, "this namespace may not be deleted")
        last: Object = {}

        def decide(old: Object | None) -> Object | None:
            nonlocal last
            if old is None:
                raise refusals.not_found(kind, key.name)
            deletion.require(kind, old, options)
            new = deletion.deleted(kind, old, options, self._clock.wall())
            last = old if new is None else new
            return new

        stored = await self._write(kind, key, decide, dry_run=options.dry_run)
        return (last, True) if stored is None else (stored, False)

    async def delete_all(
        self, kind: Kind, namespace: str, selection: Selection | None, options: deletion.Options
    ) -> Sequence[Object]:
        """Delete the selected objects of a namespace, together; returns them."""

        async def gone(obj: Object) -> Object | None:
            try:
                return (await self.delete(kind, objects.key(obj), options))[0]
            except errors.NotFound:
                return None  # it went by itself meanwhile

        selected = (await self.list_aside(kind, namespace, selection or Selection())).items
        deleted: list[Object | None] = []
        for first in range(0, len(selected), _AT_ONCE):
            deleted += await asyncio.gather(*map(gone, selected[first : first + _AT_ONCE]))
        return [obj for obj in deleted if obj is not None]

    async def _write(self, kind: Kind, key: Key, decide: Decide, *, size: int = 0, dry_run: bool) -> Object | None:
        """What is decided about an object, stored. `size`: of what is asked for, in bytes; the decision also grows with
        the object that there is."""
        old = self.store.get(kind.resource, key)
        work = size + (0 if old is None else _size(old))

        def run(decision: Callable[[], Object | None]) -> Awaitable[Object | None]:
            return aside.run(decision, work)

        def confirm(new: Object) -> None:
            self._confirm(kind, new)

        if not dry_run:
            is_long = work > aside.SMALL
            return await self.store.change(kind.resource, key, decide, run=run if is_long else None, confirm=confirm)
        new = await run(lambda: decide(old))
        if old is None and new is not None:
            confirm(new)
        return new


def _size(obj: Object) -> int:
    """Bytes of its JSON, which take a few microseconds to make and say how long all else may take."""
    return len(encoded(obj))
