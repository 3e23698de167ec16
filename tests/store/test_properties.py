# SPDX-License-Identifier: Apache-2.0
"""The store compared with a model of it: any series of writes and restarts, read by lists and by watches."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.model import errors
from tidegate.model.objects import Key, Object, resource_version
from tidegate.store.store import Store

KEYS = [Key(namespace, name) for namespace in ("a", "b") for name in ("x", "y", "z")]
State = dict[Key, Object]

writes = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.sampled_from(KEYS), st.integers(0, 3)),
        st.tuples(st.just("remove"), st.sampled_from(KEYS), st.just(0)),
        st.tuples(st.just("restart"), st.sampled_from(KEYS), st.just(0)),
    ),
    max_size=40,
)


def written(key: Key, value: int) -> Object:
    return {"metadata": {"name": key.name, "namespace": key.namespace}, "spec": {"value": value}}


class Recorded:
    """A store in a folder, and its past states by revision."""

    def __init__(self, folder: Path, history: int) -> None:
        self.path = folder / "state.db"
        self.history = history
        self.states: dict[int, State] = {0: {}}

    async def play(self, script: list[tuple[str, Key, int]]) -> None:
        store = await Store.open(self.path, history=self.history).__aenter__()
        try:
            for action, key, value in script:
                if action == "restart":
                    await store.__aexit__(None, None, None)
                    store = await Store.open(self.path, history=self.history).__aenter__()
                    continue
                await self._write(store, key, written(key, value) if action == "put" else None)
            self.check(store)
        finally:
            await store.__aexit__(None, None, None)

    async def _write(self, store: Store, key: Key, obj: Object | None) -> None:
        before = store.revision
        stored = await store.change("things", key, lambda old: obj if obj is not None or old is not None else old)
        if store.revision == before:
            return
        assert store.revision > before
        state = {**self.states[max(self.states)]}
        if stored is None:
            del state[key]
        else:
            assert resource_version(stored) == store.revision
            state[key] = stored
        self.states[store.revision] = state

    def check(self, store: Store) -> None:
        revisions = sorted(self.states)
        kept = revisions[-self.history - 1 :]
        for revision in revisions:
            if revision not in kept:
                for read in (self.replayed, self.paged):
                    try:
                        read(store, revision)
                    except errors.Expired:
                        continue
                    raise AssertionError(f"revision {revision} should have expired")
                continue
            assert self.paged(store, revision) == self.states[revision]
            assert self.replayed(store, revision) == self.states[revisions[-1]]

    def replayed(self, store: Store, revision: int) -> State:
        """The state at `revision`, updated by the changes of a watch from there."""
        state = {**self.states[revision]}
        last = revision
        with store.watch("things", since=revision) as watch:
            for change in watch.take():
                assert change.revision > last
                last = change.revision
                assert change.old == state.get(change.key)
                if change.new is None:
                    del state[change.key]
                else:
                    state[change.key] = change.new
        return state

    def paged(self, store: Store, revision: int) -> State:
        """All pages of a list at `revision`, two objects each."""
        state: State = {}
        page = store.page("things", at=revision, limit=2)
        while True:
            for item in page.items:
                key = Key(item["metadata"]["namespace"], item["metadata"]["name"])
                assert not state or key > max(state)
                state[key] = item
            if page.last is None:
                return state
            page = store.page("things", at=revision, after=page.last, limit=2)


@settings(max_examples=60, deadline=None)
@given(writes, st.sampled_from([1, 5, 1000]))
def test_every_kept_revision_can_be_listed_and_replayed_to_the_present(
    script: list[tuple[str, Key, int]], history: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(Recorded(Path(folder), history).play(script))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.sampled_from(KEYS[:3]), min_size=1, max_size=8), min_size=2, max_size=8))
def test_concurrent_writers_lose_no_update_and_all_watchers_see_the_same_order(plans: list[list[Key]]) -> None:
    def count(key: Key, old: Object | None) -> Object:
        return written(key, old["spec"]["value"] + 1 if old is not None else 1)

    async def play(folder: Path) -> None:
        async with Store.open(folder / "state.db") as store:
            with store.watch("things", since=0) as live:

                async def write(plan: list[Key]) -> None:
                    for key in plan:
                        await store.change("things", key, lambda old, key=key: count(key, old))  # type: ignore[misc]

                await asyncio.gather(*(write(plan) for plan in plans))
                seen = live.take()
            with store.watch("things", since=0) as later:
                assert later.take() == seen
            flat = [key for plan in plans for key in plan]
            assert [change.revision for change in seen] == list(range(1, len(flat) + 1))
            for key in set(flat):
                assert (store.get("things", key) or {})["spec"]["value"] == flat.count(key)

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder)))
