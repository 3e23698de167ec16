# SPDX-License-Identifier: Apache-2.0
"""Watches as clients read them."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.apiserver import Served, opened, served
from tests.apiserver import make
from tests.apiserver.make import given
from tidegate.apiserver.endpoints import parameters, views, watch
from tidegate.apiserver.registry.api import Api
from tidegate.kit.clock import VirtualClock, settle
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, POD, SERVICE
from tidegate.model.objects import Key, Object

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
TABLE = {"accept": "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"}
INITIAL: dict[str, Any] = {
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}
A, HELLO = Key("default", "a"), Key("default", "hello")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, history=50) as server:
        yield server


@pytest.fixture
async def client(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client


@asynccontextmanager
async def watched(
    client: httpx.AsyncClient, path: str = CONFIG_MAPS, headers: dict[str, str] | None = None, **query: Any
) -> AsyncIterator[AsyncIterator[Object]]:
    """The frames of a watch."""
    async with client.stream("GET", path, params={"watch": "true", **query}, headers=headers) as answer:
        if answer.status_code != 200:
            await answer.aread()
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/json"
        yield (json.loads(line) async for line in answer.aiter_lines())


async def next_frames(frames: AsyncIterator[Object], count: int) -> list[tuple[str, str]]:
    """The next frames: type and name."""
    taken = [await asyncio.wait_for(anext(frames), 10) for _ in range(count)]
    return [(frame["type"], frame["object"]["metadata"].get("name", "")) for frame in taken]


async def put(api: Api, name: str, **labels: str) -> Object:
    try:
        return await given(api, CONFIG_MAP, make.config_map(name, labels=labels))
    except errors.AlreadyExists:
        obj = make.config_map(name, labels=labels)
        return (await api.update(CONFIG_MAP, Key("default", name), obj, user=make.USER)).object


async def test_a_watch_sends_every_change_after_its_revision_in_order(
    server: Served, client: httpx.AsyncClient
) -> None:
    await put(server.api, "a")
    since = server.api.store.revision
    await put(server.api, "b")
    await put(server.api, "a", app="x")
    async with watched(client, resourceVersion=since) as frames:
        assert await next_frames(frames, 2) == [("ADDED", "b"), ("MODIFIED", "a")]
        await server.api.delete(CONFIG_MAP, A)
        last = await anext(frames)
        assert (last["type"], last["object"]["metadata"]["labels"]) == ("DELETED", {"app": "x"})
        assert last["object"]["metadata"]["resourceVersion"] == str(server.api.store.revision)


@pytest.mark.parametrize("version", ["", "0"])
async def test_a_watch_without_a_revision_begins_with_the_existing_objects(
    version: str, server: Served, client: httpx.AsyncClient
) -> None:
    await put(server.api, "a")
    async with watched(client, resourceVersion=version) as frames:
        assert await next_frames(frames, 1) == [("ADDED", "a")]
        await put(server.api, "b")
        assert await next_frames(frames, 1) == [("ADDED", "b")]


async def test_a_watch_list_sends_a_bookmark_after_the_existing_objects(
    server: Served, client: httpx.AsyncClient
) -> None:
    await put(server.api, "a")
    async with watched(client, **INITIAL) as frames:
        assert await next_frames(frames, 1) == [("ADDED", "a")]
        bookmark = await anext(frames)
        assert bookmark["type"] == "BOOKMARK"
        assert bookmark["object"]["kind"] == "ConfigMap"
        metadata = bookmark["object"]["metadata"]
        assert metadata["annotations"] == {"k8s.io/initial-events-end": "true"}
        assert metadata["resourceVersion"] == str(server.api.store.revision)
        await put(server.api, "b")
        assert await next_frames(frames, 1) == [("ADDED", "b")]


async def test_an_empty_watch_list_sends_its_bookmark_at_once(client: httpx.AsyncClient) -> None:
    async with watched(client, **INITIAL) as frames:
        assert await next_frames(frames, 1) == [("BOOKMARK", "")]


async def test_an_object_is_added_and_deleted_when_its_labels_begin_and_cease_to_match(
    server: Served, client: httpx.AsyncClient
) -> None:
    since = server.api.store.revision
    async with watched(client, resourceVersion=since, labelSelector="app=x") as frames:
        await put(server.api, "a", app="y")
        await put(server.api, "a", app="x")
        await put(server.api, "a", app="x", more="1")
        await put(server.api, "a", app="y")
        await put(server.api, "b", app="x")

        expected = [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]
        assert await next_frames(frames, 4) == expected


async def test_a_single_object_can_be_watched_in_three_ways(server: Served, client: httpx.AsyncClient) -> None:
    since = server.api.store.revision
    async with (
        watched(client, f"{CONFIG_MAPS}/a", resourceVersion=since) as first,
        watched(client, resourceVersion=since, fieldSelector="metadata.name=a") as second,
        watched(client, "/api/v1/configmaps", resourceVersion=since, fieldSelector="metadata.name=a") as third,
    ):
        await put(server.api, "b")
        await put(server.api, "a")
        for frames in (first, second, third):
            assert await next_frames(frames, 1) == [("ADDED", "a")]


async def test_a_watch_of_one_service_sends_each_change_of_its_status(
    server: Served, client: httpx.AsyncClient
) -> None:
    """`kn service create` watches by name, and reads the Ready condition of every MODIFIED event."""
    await given(server.api, SERVICE, make.service())
    path = "/apis/serving.knative.dev/v1/namespaces/default/services"
    async with watched(client, path, fieldSelector="metadata.name=hello") as frames:
        assert await next_frames(frames, 1) == [("ADDED", "hello")]
        for status in ("Unknown", "True"):
            wanted = {"conditions": [{"type": "Ready", "status": status}]}
            await server.api.update(
                SERVICE, HELLO, {**make.service(), "status": wanted}, user=make.USER, options=make.STATUS
            )
            frame = await anext(frames)
            assert (frame["type"], frame["object"]["status"]) == ("MODIFIED", wanted)


async def test_a_watch_of_dropped_history_is_410(server: Served, client: httpx.AsyncClient) -> None:
    for n in range(60):
        await put(server.api, "a", n=str(n))
    answer = await client.get(CONFIG_MAPS, params={"watch": "true", "resourceVersion": 1})

    assert (answer.status_code, answer.json()["reason"]) == (410, "Expired")


async def test_a_watch_that_falls_behind_ends_with_410_and_others_continue(tmp_path: Path) -> None:
    async with opened(tmp_path, queue=10) as api:
        options = parameters.watch_options(CONFIG_MAP, {"resourceVersion": str(api.store.revision)})
        view = views.FullView(CONFIG_MAP)
        slow = watch.frames(api, CONFIG_MAP, "default", options, view, VirtualClock())
        assert await anext(slow) == b""
        for n in range(20):
            await put(api, "a", n=str(n))

        frame = json.loads(await anext(slow))
        assert (frame["type"], frame["object"]["code"], frame["object"]["reason"]) == ("ERROR", 410, "Expired")
        assert [rest async for rest in slow] == []


async def test_bookmarks_come_every_minute_and_a_watch_ends_at_its_timeout(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with opened(tmp_path) as api:
        since = str(api.store.revision)
        query = {"resourceVersion": since, "allowWatchBookmarks": "true", "timeoutSeconds": "150"}
        options = parameters.watch_options(CONFIG_MAP, query)
        frames: list[bytes] = []

        async def read() -> None:
            frames.extend(
                [chunk async for chunk in watch.frames(api, CONFIG_MAP, "", options, views.FullView(CONFIG_MAP), clock)]
            )

        reading = asyncio.create_task(read())
        await given(api, POD, make.pod())  # of another kind: only the bookmark shows the progress of the watch
        await clock.advance(59)
        await clock.advance(91)
        await asyncio.wait_for(reading, 10)

        bookmarks = [json.loads(frame) for frame in frames if frame]
        assert [frame["type"] for frame in bookmarks] == ["BOOKMARK"] * 3
        assert {frame["object"]["metadata"]["resourceVersion"] for frame in bookmarks} == {str(api.store.revision)}


async def test_a_client_without_allow_watch_bookmarks_gets_none(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with opened(tmp_path) as api:
        options = parameters.watch_options(CONFIG_MAP, {"resourceVersion": "1", "timeoutSeconds": "150"})
        frames = watch.frames(api, CONFIG_MAP, "", options, views.FullView(CONFIG_MAP), clock)
        assert await anext(frames) == b""
        ending = asyncio.create_task(anext(frames, None))
        await settle()
        await clock.advance(150)

        assert await asyncio.wait_for(ending, 10) is None


@pytest.mark.parametrize(
    "query",
    [
        {"sendInitialEvents": "true"},
        {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"},
        {"resourceVersionMatch": "NotOlderThan"},
        {"sendInitialEvents": "true", "resourceVersionMatch": "Exact", "allowWatchBookmarks": "true"},
    ],
)
async def test_an_incomplete_request_for_a_watch_list_is_rejected(
    query: dict[str, str], client: httpx.AsyncClient
) -> None:
    answer = await client.get(CONFIG_MAPS, params={"watch": "true", **query})
    assert (answer.status_code, answer.json()["reason"]) == (422, "Invalid")


async def test_a_watch_of_tables_sends_the_columns_once(server: Served, client: httpx.AsyncClient) -> None:
    await put(server.api, "a")
    async with watched(client, headers=TABLE, resourceVersion="0") as frames:
        first = await anext(frames)
        assert [column["name"] for column in first["object"]["columnDefinitions"]] == ["Name", "Data", "Age"]
        assert first["object"]["rows"][0]["cells"][:2] == ["a", 0]
        await put(server.api, "b")
        second = await anext(frames)
        assert second["object"]["columnDefinitions"] is None
        assert second["object"]["rows"][0]["object"]["metadata"]["name"] == "b"


async def test_the_number_of_streams_is_limited(tmp_path: Path) -> None:
    async with served(tmp_path, streams=2) as server, server.client() as client:
        await put(server.api, "a")
        async with watched(client) as first, watched(client) as second:
            for frames in (first, second):
                await next_frames(frames, 1)
            refused = await client.get(CONFIG_MAPS, params={"watch": "true"})
            assert (refused.status_code, refused.json()["reason"]) == (429, "TooManyRequests")
            assert refused.headers["retry-after"] == "1"
            assert (await client.get(CONFIG_MAPS)).status_code == 200
        async with asyncio.timeout(10):
            while await is_refused(client):
                await settle()


async def is_refused(client: httpx.AsyncClient) -> bool:
    async with client.stream("GET", CONFIG_MAPS, params={"watch": "true"}) as answer:
        return answer.status_code == 429


async def test_watches_end_when_the_server_stops(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        await put(server.api, "a")
        async with server.client() as client, watched(client) as frames:
            await next_frames(frames, 1)
            reading = asyncio.create_task(anext(frames, None))
            await settle()
            server.stop()
            assert await asyncio.wait_for(ended(reading), 10) is None


async def ended(reading: "asyncio.Task[Object | None]") -> Object | None:
    """The last frame before the end of a stream; None if there is none."""
    try:
        return await reading
    except httpx.RemoteProtocolError:
        return None


async def test_many_writers_and_many_watchers_agree(server: Served) -> None:
    async with server.client() as client, watched(client, **INITIAL) as one, watched(client, **INITIAL) as other:
        await asyncio.gather(*(put(server.api, f"n{n % 5}", n=str(n)) for n in range(40)))
        final = {item["metadata"]["name"]: item for item in server.api.list(CONFIG_MAP).items}
        for frames in (one, other):
            seen: dict[str, Object] = {}
            versions: list[int] = []
            while seen != final:
                frame = await asyncio.wait_for(anext(frames), 10)
                if frame["type"] != "BOOKMARK":
                    seen[frame["object"]["metadata"]["name"]] = frame["object"]
                    versions.append(int(frame["object"]["metadata"]["resourceVersion"]))
            assert versions == sorted(versions)
