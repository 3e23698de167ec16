# SPDX-License-Identifier: Apache-2.0
"""What a `Cluster` over HTTPS does beyond the protocol: failures on the way, tables, logs, warnings, lost history."""

import itertools
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.apiserver.world import Served, served
from tests.client.test_cluster import config_map, service
from tidegate.client.http import HttpCluster
from tidegate.model import errors, kinds
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as running:
        yield running


@pytest.fixture
async def cluster(server: Served) -> AsyncIterator[HttpCluster]:
    async with HttpCluster.from_kubeconfig(server.kubeconfig) as cluster:
        yield cluster


def answering(answer: Callable[[httpx2.Request], httpx2.Response]) -> HttpCluster:
    """A cluster whose server is a function: for answers that ours never gives."""
    transport = httpx2.MockTransport(answer)
    return HttpCluster(httpx2.AsyncClient(base_url="https://cluster", transport=transport))


async def test_tables_bring_the_columns_that_kubectl_prints(cluster: HttpCluster) -> None:
    await cluster.create(kinds.CONFIG_MAP, config_map("a", {"key": "value"}))

    table = await cluster.table(kinds.CONFIG_MAP, "default")
    one = await cluster.table(kinds.CONFIG_MAP, "default", "a")

    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert [row["cells"][:2] for row in table["rows"]] == [["a", 1]]
    assert one["rows"][0]["object"]["metadata"]["name"] == "a"


async def test_a_watched_table_brings_rows(cluster: HttpCluster) -> None:
    listing = await cluster.list(kinds.CONFIG_MAP, "default")
    await cluster.create(kinds.CONFIG_MAP, config_map("a", {"key": "value"}))

    watch = cluster.watch_table(kinds.CONFIG_MAP, "default", resource_version=listing.resource_version)
    async with watch as events:
        event = await anext(events)

    assert event.object["rows"][0]["cells"][:2] == ["a", 1]


async def test_logs_are_read_with_their_options(cluster: HttpCluster) -> None:
    pod: Object = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "a", "namespace": "default"},
        "spec": {"containers": [{"name": "user-container", "image": "x"}]},
    }
    await cluster.create(kinds.POD, pod)

    async with cluster.logs(Key("default", "a"), options=LogOptions(tail_lines=7)) as pieces:
        text = b"".join([piece async for piece in pieces])

    assert text == b"a user-container tail=7\n"


async def test_logs_of_a_pod_that_is_not_there_are_not_found(cluster: HttpCluster) -> None:
    with pytest.raises(errors.NotFound):
        async with cluster.logs(Key("default", "a")):
            pass


async def test_unknown_fields_are_refused_where_that_is_asked_for_and_warned_of_else(server: Served) -> None:
    warned: list[str] = []
    misspelt = {**service("a"), "sepc": {}}

    async with HttpCluster.from_kubeconfig(server.kubeconfig, strict=True) as strict:
        with pytest.raises(errors.BadRequest, match='unknown field "sepc"'):
            await strict.create(kinds.SERVICE, misspelt)
    async with HttpCluster.from_kubeconfig(server.kubeconfig, warn=warned.append) as lenient:
        await lenient.create(kinds.SERVICE, misspelt)

    assert warned == ['unknown field "sepc"']


async def test_a_wrong_token_is_unauthorized(server: Served, tmp_path: Path) -> None:
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"]["token"] = "guessed"
    other = tmp_path / "other"
    other.write_text(yaml.safe_dump(config))

    async with HttpCluster.from_kubeconfig(other) as cluster:
        with pytest.raises(errors.Unauthorized):
            await cluster.list(kinds.POD)


async def test_a_server_whose_authority_is_another_is_not_talked_to(server: Served, tmp_path: Path) -> None:
    config = yaml.safe_load(server.kubeconfig.read_text())
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    other = tmp_path / "other"
    other.write_text(yaml.safe_dump(config))

    async with HttpCluster.from_kubeconfig(other) as cluster:
        with pytest.raises(errors.ServiceUnavailable, match="certificate"):
            await cluster.list(kinds.POD)


async def test_an_api_that_is_not_there_is_unavailable_and_named(server: Served, tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{unused.getsockname()[1]}"
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["clusters"][0]["cluster"]["server"] = url
    other = tmp_path / "other"
    other.write_text(yaml.safe_dump(config))

    async with HttpCluster.from_kubeconfig(other) as cluster:
        with pytest.raises(errors.ServiceUnavailable, match=f"cannot reach the API at {url}"):
            await cluster.list(kinds.POD)
        with pytest.raises(errors.ServiceUnavailable):
            async with cluster.watch(kinds.POD, resource_version="1"):
                pass


@pytest.mark.parametrize("text", ["", "clusters: 1", "{clusters: [], contexts: [], current-context: gone}", "]["])
async def test_a_kubeconfig_that_cannot_be_used_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)

    with pytest.raises(errors.ApiError, match=f"the kubeconfig {path} cannot be used"):
        async with HttpCluster.from_kubeconfig(path):
            pass


async def test_a_kubeconfig_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.ApiError, match="nowhere"):
        async with HttpCluster.from_kubeconfig(tmp_path / "nowhere"):
            pass


GONE: Object = {"kind": "Status", "reason": "Gone", "code": 410, "message": "too old resource version"}


@pytest.mark.parametrize(
    ("code", "body"), [(410, GONE), (200, {"type": "ERROR", "object": GONE})], ids=["at entry", "while iterating"]
)
async def test_history_that_is_gone_is_expired_however_the_server_says_it(code: int, body: Object) -> None:
    cluster = answering(lambda request: httpx2.Response(code, content=msgspec.json.encode(body) + b"\n"))

    with pytest.raises(errors.Expired):
        async with cluster.watch(kinds.POD, resource_version="1") as events:
            await anext(events)


async def test_items_of_a_kubernetes_list_get_the_type_that_the_list_says() -> None:
    listed = {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"name": "a"}}]}
    cluster = answering(lambda request: httpx2.Response(200, json=listed))

    listing = await cluster.list(kinds.SERVICE)

    assert listing.items == [{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "a"}}]


async def test_answers_without_a_status_say_what_their_code_says() -> None:
    cluster = answering(lambda request: httpx2.Response(502, text="<html>"))
    with pytest.raises(errors.ApiError, match="the API answered 502 Bad Gateway"):
        await cluster.list(kinds.POD)

    cluster = answering(lambda request: httpx2.Response(404, text="404 page not found"))
    with pytest.raises(errors.NotFound, match=r"the server does not serve /apis/serving\.knative\.dev/v1/services"):
        await cluster.list(kinds.SERVICE)


async def test_a_connection_that_breaks_in_a_watch_is_unavailable() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}\n{"type":'
        raise httpx2.ReadError("reset")

    cluster = answering(lambda request: httpx2.Response(200, content=broken()))
    told = []

    with pytest.raises(errors.ServiceUnavailable, match="broke: reset"):
        async with cluster.watch(kinds.POD, resource_version="1") as events:
            async for event in events:
                told.append(event.type)

    assert told == ["BOOKMARK"]


@given(st.lists(st.text(max_size=8), max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=6))
async def test_a_watch_reads_the_same_events_however_they_are_cut(texts: list[str], cuts: list[int]) -> None:
    frames = [{"type": "ADDED", "object": {"data": {"text": text}}} for text in texts]
    whole = b"".join(msgspec.json.encode(frame) + b"\n" for frame in frames)

    async def pieces() -> AsyncIterator[bytes]:
        left = whole
        for cut in itertools.cycle(cuts):
            if not left:
                return
            yield left[:cut]
            left = left[cut:]

    cluster = answering(lambda request: httpx2.Response(200, content=pieces()))
    async with cluster.watch(kinds.POD, resource_version="1") as events:
        told = [event.object["data"]["text"] async for event in events]

    assert told == texts
