# SPDX-License-Identifier: Apache-2.0
"""A `Cluster` over HTTPS, beyond the protocol: broken connections, tables, logs, warnings, dropped history."""

import asyncio
import itertools
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harness.apiserver import Served, served
from tests.client.test_cluster import config_map, service
from tidegate.client import wire
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


@asynccontextmanager
async def answering(*pieces: bytes) -> AsyncIterator[HttpCluster]:
    """A cluster whose server sends these bytes and closes the connection: for responses that Tidegate never sends."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with wire.ConnectionPool(url, ssl.create_default_context(), {}) as talking:
            yield HttpCluster(talking)


def http(code: int, body: bytes, reason: str = "Reason", length: int | None = None) -> bytes:
    head = f"HTTP/1.1 {code} {reason}\r\ncontent-length: {len(body) if length is None else length}\r\n\r\n"
    return head.encode() + body


async def test_tables_have_the_columns_that_kubectl_prints(cluster: HttpCluster) -> None:
    await cluster.create(kinds.CONFIG_MAP, config_map("a", {"key": "value"}))

    table = await cluster.table(kinds.CONFIG_MAP, "default")
    one = await cluster.table(kinds.CONFIG_MAP, "default", "a")

    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    assert [row["cells"][:2] for row in table["rows"]] == [["a", 1]]
    assert one["rows"][0]["object"]["metadata"]["name"] == "a"


async def test_a_watched_table_yields_rows(cluster: HttpCluster) -> None:
    listing = await cluster.list(kinds.CONFIG_MAP, "default")
    await cluster.create(kinds.CONFIG_MAP, config_map("a", {"key": "value"}))

    watch = cluster.watch_table(kinds.CONFIG_MAP, "default", resource_version=listing.resource_version)
    async with watch as events:
        event = await anext(events)

    assert event.object["rows"][0]["cells"][:2] == ["a", 1]


async def test_logs_are_requested_with_their_options(cluster: HttpCluster) -> None:
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


async def test_logs_of_a_missing_pod_are_not_found(cluster: HttpCluster) -> None:
    with pytest.raises(errors.NotFound):
        async with cluster.logs(Key("default", "a")):
            pass


async def test_unknown_fields_are_refused_if_strict_and_reported_as_warnings_otherwise(server: Served) -> None:
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


async def test_a_server_with_another_certificate_authority_is_unreachable(server: Served, tmp_path: Path) -> None:
    config = yaml.safe_load(server.kubeconfig.read_text())
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    other = tmp_path / "other"
    other.write_text(yaml.safe_dump(config))

    async with HttpCluster.from_kubeconfig(other) as cluster:
        with pytest.raises(errors.ServiceUnavailable, match="certificate"):
            await cluster.list(kinds.POD)


async def test_a_missing_api_is_unreachable_and_named(server: Served, tmp_path: Path) -> None:
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


async def test_an_unsupported_kind_of_credentials_is_named(server: Served, tmp_path: Path) -> None:
    config = yaml.safe_load(server.kubeconfig.read_text())
    config["users"][0]["user"] = {"exec": {"command": "login"}}
    other = tmp_path / "other"
    other.write_text(yaml.safe_dump(config))

    with pytest.raises(errors.ApiError, match="unknown field `exec`"):
        async with HttpCluster.from_kubeconfig(other):
            pass


@pytest.mark.parametrize("text", ["", "clusters: 1", "{clusters: [], contexts: [], current-context: missing}", "]["])
async def test_an_invalid_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(text)

    with pytest.raises(errors.ApiError, match=f"the kubeconfig {path} cannot be used"):
        async with HttpCluster.from_kubeconfig(path):
            pass


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(errors.ApiError, match="nowhere"):
        async with HttpCluster.from_kubeconfig(tmp_path / "nowhere"):
            pass


GONE: Object = {"kind": "Status", "reason": "Gone", "code": 410, "message": "too old resource version"}


@pytest.mark.parametrize(
    ("code", "body"), [(410, GONE), (200, {"type": "ERROR", "object": GONE})], ids=["at entry", "while iterating"]
)
async def test_dropped_history_is_expired_for_both_reasons_of_kubernetes(code: int, body: Object) -> None:
    async with answering(http(code, msgspec.json.encode(body) + b"\n")) as cluster:
        with pytest.raises(errors.Expired):
            async with cluster.watch(kinds.POD, resource_version="1") as events:
                await anext(events)


async def test_items_of_a_kubernetes_list_get_their_type_from_the_list() -> None:
    listed = {"metadata": {"resourceVersion": "5"}, "items": [{"metadata": {"name": "a"}}]}
    async with answering(http(200, msgspec.json.encode(listed))) as cluster:
        listing = await cluster.list(kinds.SERVICE)

    assert listing.items == [{"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "a"}}]


async def test_responses_without_a_status_become_the_error_of_their_code() -> None:
    async with answering(http(502, b"<html>", "Bad Gateway")) as cluster:
        with pytest.raises(errors.ApiError, match="the API answered 502 Bad Gateway"):
            await cluster.list(kinds.POD)
    async with answering(http(404, b"404 page not found")) as cluster:
        with pytest.raises(errors.NotFound, match=r"the server does not serve /apis/serving\.knative\.dev/v1/services"):
            await cluster.list(kinds.SERVICE)


@pytest.mark.parametrize("sent", [b"", b"SSH-2.0-OpenSSH_9.6\r\n", http(200, b"{", length=2), b"HTTP/1.1 200"])
async def test_a_server_that_sends_an_incomplete_response_is_unavailable(sent: bytes) -> None:
    async with answering(sent) as cluster:
        with pytest.raises(errors.ServiceUnavailable, match="broke: "):
            await cluster.list(kinds.POD)


async def test_a_watch_over_a_broken_connection_is_unavailable() -> None:
    frame = b'{"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "7"}}}\n{"type":'
    types = []
    async with answering(http(200, frame, length=1000)) as cluster:
        with pytest.raises(errors.ServiceUnavailable, match="broke: "):
            async with cluster.watch(kinds.POD, resource_version="1") as events:
                async for event in events:
                    types.append(event.type)

    assert types == ["BOOKMARK"]


async def test_an_exception_of_the_caller_inside_a_watch_passes_through(cluster: HttpCluster) -> None:
    with pytest.raises(BrokenPipeError):
        async with cluster.watch(kinds.POD, resource_version="0"):
            raise BrokenPipeError
    with pytest.raises(TimeoutError):
        async with cluster.watch(kinds.POD, resource_version="0"):
            raise TimeoutError


async def test_sequential_requests_share_a_connection() -> None:
    connections = 0
    empty = http(200, msgspec.json.encode({"metadata": {"resourceVersion": "5"}}))

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(empty)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1") as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with wire.ConnectionPool(url, ssl.create_default_context(), {}) as talking:
            for _ in range(3):
                await HttpCluster(talking).list(kinds.POD)

    assert connections == 1


@given(st.lists(st.text(max_size=8), max_size=5), st.lists(st.integers(1, 40), min_size=1, max_size=6))
async def test_a_watch_reads_the_same_events_for_any_split_into_pieces(texts: list[str], cuts: list[int]) -> None:
    frames = [{"type": "ADDED", "object": {"data": {"text": text}}} for text in texts]
    whole = http(200, b"".join(msgspec.json.encode(frame) + b"\n" for frame in frames))
    pieces, left = [], whole
    for cut in itertools.cycle(cuts):
        if not left:
            break
        pieces.append(left[:cut])
        left = left[cut:]

    async with answering(*pieces) as cluster, cluster.watch(kinds.POD, resource_version="1") as events:
        received = [event.object["data"]["text"] async for event in events]

    assert received == texts
