# SPDX-License-Identifier: Apache-2.0
import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tidegate.model import errors
from tidegate.model.objects import Key, Object, resource_version
from tidegate.store.database import Database, StoreError, VersionRow
from tidegate.store.store import Decide, Store
from tidegate.store.watch import Change

A, B = Key("default", "a"), Key("default", "b")


def pod(name: str = "a", **spec: object) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def becomes(obj: Object | None) -> Decide:
    return lambda old: obj


def only_at(version: str, obj: Object) -> Decide:
    """Compare and swap, as the API's verbs do."""

    def decide(old: Object | None) -> Object:
        if old is None or old["metadata"]["resourceVersion"] != version:
            raise errors.Conflict("changed meanwhile")
        return obj

    return decide


async def put(store: Store, key: Key, **spec: object) -> Object:
    stored = await store.change("pods", key, becomes(pod(key.name, **spec)))
    assert stored is not None
    return stored


async def test_a_written_object_is_read_with_the_revision_of_its_write(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        stored = await put(store, A, n=1)

        assert store.get("pods", A) is stored
        assert stored["metadata"]["resourceVersion"] == str(store.revision) == "1"


async def test_a_decision_to_change_nothing_is_no_write(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        stored = await put(store, A)

        assert await store.change("pods", A, lambda old: old) is stored
        assert store.revision == 1


async def test_an_exception_in_a_decision_reaches_the_caller_and_changes_nothing(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        stored = await put(store, A)

        with pytest.raises(errors.Conflict):
            await store.change("pods", A, only_at("7", pod()))

        assert store.get("pods", A) is stored


async def test_exactly_one_of_many_concurrent_updates_from_one_version_succeeds(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        version = (await put(store, A))["metadata"]["resourceVersion"]

        outcomes = await asyncio.gather(
            *(store.change("pods", A, only_at(version, pod(n=n))) for n in range(50)), return_exceptions=True
        )

        winners = [outcome for outcome in outcomes if isinstance(outcome, dict)]
        assert len(winners) == 1
        assert store.get("pods", A) == winners[0]
        assert sum(isinstance(outcome, errors.Conflict) for outcome in outcomes) == 49


async def test_concurrent_decisions_about_one_object_each_get_the_result_of_the_last(tmp_path: Path) -> None:
    def add_one(old: Object | None) -> Object:
        assert old is not None
        return pod(n=old["spec"]["n"] + 1)

    async with Store.open(tmp_path / "state.db") as store:
        await put(store, A, n=0)

        await asyncio.gather(*(store.change("pods", A, add_one) for _ in range(30)))

        assert (store.get("pods", A) or {})["spec"] == {"n": 30}


async def test_cancelling_a_caller_does_not_stop_its_write(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        writing = asyncio.create_task(store.change("pods", A, becomes(pod(n=1))))
        await asyncio.sleep(0)
        writing.cancel()

        await put(store, A, n=2)

        assert resource_version(store.get("pods", A) or {}) == 2


async def test_a_change_is_invisible_until_it_is_durable(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        with store.watch("pods", since=0) as watch:
            writing = asyncio.create_task(store.change("pods", A, becomes(pod())))
            await asyncio.sleep(0)

            assert store.get("pods", A) is None
            assert store.page("pods").items == []
            assert watch.take() == []

            await writing
            assert [change.key for change in watch.take()] == [A]


async def test_a_restart_restores_all_objects_and_continues_the_revisions(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with Store.open(path) as store:
        await put(store, A, n=1)
        await put(store, B, n=1)
        kept = await put(store, A, n=2)
        await store.change("pods", B, becomes(None))

    async with Store.open(path) as store:
        assert store.page("pods").items == [kept]
        assert store.revision == 4
        with store.watch("pods", since=2) as watch:
            assert [(change.key, change.new is None) for change in watch.take()] == [(A, False), (B, True)]
        assert resource_version(await put(store, B)) == 5


async def test_a_revision_is_not_used_again_even_if_its_row_was_deleted(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with Store.open(path, history=0) as store:
        await put(store, A)
        await store.change("pods", A, becomes(None))
    with closing(Database(path)) as database:
        database.delete([1, 2], 2)

    async with Store.open(path) as store:
        assert resource_version(await put(store, A)) == 3


async def test_dropped_history_is_expired_for_watches_and_lists(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db", history=3) as store:
        for n in range(6):
            await put(store, A, n=n)

        assert [item["spec"]["n"] for item in store.page("pods", at=3).items] == [2]
        with pytest.raises(errors.Expired):
            store.page("pods", at=2)
        with pytest.raises(errors.Expired), store.watch("pods", since=2):
            pass


async def test_obsolete_rows_are_deleted_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    async with Store.open(path, history=10) as store:
        for n in range(1200):
            await put(store, A, n=n)

    with sqlite3.connect(path) as database:
        (rows,) = database.execute("SELECT count(*) FROM log").fetchone()
    database.close()
    assert rows < 250

    async with Store.open(path, history=10) as store:
        assert store.page("pods", at=1195).items[0]["spec"] == {"n": 1194}


async def test_an_unread_watch_is_closed_and_others_continue(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db", queue=5) as store:
        with store.watch("pods", since=0) as slow, store.watch("pods", since=0) as quick:
            seen: list[Change] = []
            for n in range(8):
                await put(store, A, n=n)
                seen += quick.take()

            assert len(seen) == 8
            with pytest.raises(errors.Expired):
                await anext(slow)


async def test_a_watch_gets_only_its_namespace_and_its_selection(tmp_path: Path) -> None:
    def is_big(obj: Object) -> bool:
        return bool(obj["spec"].get("n", 0) > 1)

    async with Store.open(tmp_path / "state.db") as store:
        with store.watch("pods", "default", since=0, select=is_big) as watch:
            await put(store, Key("other", "a"), n=5)
            await store.change("secrets", A, becomes(pod(n=5)))
            for n in (1, 2, 3, 1):
                await put(store, A, n=n)

            seen = [(c.old and c.old["spec"]["n"], c.new and c.new["spec"]["n"]) for c in watch.take()]

        assert seen == [(None, 2), (2, 3), (3, None)]


async def test_a_watch_of_one_object_gets_only_its_past_and_future_changes(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        await put(store, A, n=1)
        await put(store, B, n=1)
        with store.watch("pods", since=0, key=A) as watch:
            await put(store, B, n=2)
            await store.change("pods", A, becomes(None))

            assert [(change.key, change.new is None) for change in watch.take()] == [(A, False), (A, True)]
        await put(store, A)

        assert watch.take() == []


async def test_a_watch_ends_when_the_store_closes(tmp_path: Path) -> None:
    async def read(store: Store) -> list[Change]:
        with store.watch("pods", since=0) as watch:
            return [change async for change in watch]

    async with Store.open(tmp_path / "state.db") as store:
        reader = asyncio.create_task(read(store))
        await asyncio.sleep(0)
        await put(store, A)

    assert [change.key for change in await reader] == [A]


async def test_the_pages_of_a_list_show_one_revision_despite_writes_between_them(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        for name in "abcdef":
            await put(store, Key("default", name), n=0)
        first = store.page("pods", limit=2)
        await put(store, Key("default", "aa"))
        await store.change("pods", Key("default", "d"), becomes(None))
        await put(store, Key("default", "e"), n=9)

        rest = store.page("pods", at=first.revision, after=first.last, limit=10)

        assert first.remaining == 4
        assert [item["metadata"]["name"] for item in (*first.items, *rest.items)] == list("abcdef")
        assert {item["spec"].get("n") for item in rest.items} == {0}
        assert rest.last is None


async def test_a_list_of_one_namespace_excludes_namespaces_with_similar_names(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        for namespace in ("a", "a-b", "b"):
            await put(store, Key(namespace, "x"))

        assert len(store.page("pods", "a").items) == 1
        assert len(store.page("pods").items) == 3


async def test_dependents_are_found_by_the_uid_of_their_owner(tmp_path: Path) -> None:
    owned = pod()
    owned["metadata"]["ownerReferences"] = [{"uid": "1"}, {"uid": "2"}]
    async with Store.open(tmp_path / "state.db") as store:
        await store.change("pods", A, becomes(owned))
        assert store.dependents("1") == store.dependents("2") == [("pods", A)]

        await put(store, A)

        assert store.dependents("1") == []


async def test_a_failed_commit_fails_its_writes_and_changes_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Database, rows: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    async with Store.open(tmp_path / "state.db") as store:
        stored = await put(store, A, n=1)
        with monkeypatch.context() as patched:
            patched.setattr(Database, "append", full)
            with pytest.raises(errors.ApiError, match="could not be written: database or disk is full"):
                await put(store, A, n=2)
            assert store.health.state == "failing"
        assert store.get("pods", A) is stored

        assert resource_version(await put(store, A, n=3)) == 3
        assert store.health.state == "running"


class RecordingObserver:
    """A `CommitObserver` that records its notifications."""

    def __init__(self) -> None:
        self.notifications: list[tuple[str, int]] = []

    def begun(self, change: Change) -> None:
        self.notifications.append(("begun", change.revision))

    def ended(self, change: Change, *, stored: bool) -> None:
        self.notifications.append(("stored" if stored else "failed", change.revision))


async def test_an_observer_is_notified_of_the_begin_and_the_end_of_every_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Database, rows: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    observer = RecordingObserver()
    async with Store.open(tmp_path / "state.db") as store:
        await put(store, B)
        store.observe(observer)
        await put(store, A, n=1)
        with monkeypatch.context() as patched:
            patched.setattr(Database, "append", full)
            with pytest.raises(errors.ApiError):
                await put(store, A, n=2)
        both = [asyncio.create_task(store.change("pods", key, lambda old: None)) for key in (A, B)]
        await asyncio.gather(*both)

    assert observer.notifications == [
        *(("begun", 2), ("stored", 2)),
        *(("begun", 3), ("failed", 3)),
        *(("begun", 4), ("begun", 5), ("stored", 4), ("stored", 5)),
    ]


async def test_values_that_are_not_json_are_refused(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        for value in (object(), "\ud800", {1: 2j}):
            with pytest.raises(errors.BadRequest):
                await put(store, A, value=value)
        await put(store, A, value=2**70)


async def test_a_database_in_use_is_refused_in_one_line(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db"):
        with pytest.raises(StoreError, match=r"state\.db is in use by another process$"):
            Database(tmp_path / "state.db")


async def test_a_damaged_database_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"no database at all" * 1000)

    with pytest.raises(StoreError, match=r"state\.db is damaged") as rejection:
        async with Store.open(path):
            pass

    assert "\n" not in str(rejection.value)


async def test_a_row_without_valid_json_is_reported_as_damage(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    with closing(Database(path)) as database:
        database.append([VersionRow(1, "pods", "default", "a", b"{")])

    with pytest.raises(StoreError, match="damaged"):
        async with Store.open(path):
            pass


async def test_a_database_of_a_later_format_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    Database(path).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version=99")

    with pytest.raises(StoreError, match="has format 99"):
        Database(path)


async def test_only_the_owner_can_read_the_files(tmp_path: Path) -> None:
    async with Store.open(tmp_path / "state.db") as store:
        await put(store, A)

        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
