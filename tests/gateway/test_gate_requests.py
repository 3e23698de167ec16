# SPDX-License-Identifier: Apache-2.0
"""Requests through the gate: a real Envoy, real connections, and instances that count."""

import asyncio
import contextlib
import socket
from pathlib import Path

import httpx
import pytest

from harness.gate import Client, Gateway, JsonObject, get, instances

ONE_AT_A_TIME = {"containerConcurrency": 1}


async def test_no_instance_runs_more_than_its_concurrency_and_load_is_even(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {"containerConcurrency": 2}}).running() as gateway, instances(2) as apps:
        gateway.set_hosts("hello", apps)

        answers = await asyncio.gather(*[get(gateway, "hello", "/work/0.005") for _ in range(100)])

        assert {answer.status for answer in answers} == {200}
        assert [app.most for app in apps] == [2, 2]
        assert abs(apps[0].served - apps[1].served) <= 10


async def test_requests_and_their_bodies_wait_for_the_first_instance(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}}).running() as gateway, instances(2) as apps:
        async with asyncio.TaskGroup() as tasks:
            waiting = [tasks.create_task(get(gateway, "hello")) for _ in range(20)]
            async with Client(gateway.port, "hello") as uploader:
                upload = tasks.create_task(uploader.post("/", b"x" * 300_000))
                await gateway.reports.until_of("hello", lambda report: report["queued"] == 21)
                gateway.set_hosts("hello", apps)
                assert (await upload).status == 200
        assert {task.result().status for task in waiting} == {200}
        assert sum(app.bytes for app in apps) == 300_000


async def test_each_http2_stream_of_a_connection_takes_a_slot(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(2) as apps:
        gateway.set_hosts("hello", apps)
        async with httpx.AsyncClient(http1=False, http2=True, headers={"host": "hello"}) as client:
            url = f"http://127.0.0.1:{gateway.port}/work/0.005"
            answers = await asyncio.gather(*[client.get(url) for _ in range(40)])

        assert {(answer.http_version, answer.status_code) for answer in answers} == {("HTTP/2", 200)}
        assert [app.most for app in apps] == [1, 1]


async def test_a_websocket_holds_its_slot_until_it_ends(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)
        async with Client(gateway.port, "hello") as socket:
            socket.send("/", headers="connection: upgrade\r\nupgrade: websocket\r\n")
            assert (await socket.answer()).status == 101
            socket.writer.write(b"ping")
            assert await socket.reader.readexactly(4) == b"ping"
            other = asyncio.create_task(get(gateway, "hello"))
            await gateway.reports.until_of("hello", lambda report: report["queued"] == 1)
        assert (await other).status == 200
        assert apps[0].most == 1
        await gateway.reports.until_of("hello", lambda report: report["responses"] == {"101": 1, "200": 1})


async def test_a_request_whose_client_disconnects_leaves_the_queue_at_once(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(1) as apps:
        async with Client(gateway.port, "hello") as client:
            client.send("/")
            await gateway.reports.until_of("hello", lambda report: report["queued"] == 1)
            client.abort()
            await gateway.reports.until_of("hello", lambda report: report["queued"] == 0)
        gateway.set_hosts("hello", apps)
        assert (await get(gateway, "hello")).status == 200
        assert apps[0].served == 1


async def test_a_slot_is_free_again_after_a_client_aborts_its_running_request(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)
        for path in ("/work/60", "/stream/60"):
            async with Client(gateway.port, "hello") as client:
                client.send(path)
                await gateway.reports.until_of("hello", lambda report: report["inFlight"] == 1)
                client.abort()
            assert (await get(gateway, "hello")).status == 200
        assert apps[0].most == 1


async def test_a_reset_by_the_instance_frees_its_slot(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)

        statuses = [(await get(gateway, "hello", path)).status for path in ("/reset", "/", "/reset", "/")]

        assert statuses == [503, 200, 503, 200]
        assert apps[0].most == 1


IDEMPOTENT = ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"]


@pytest.mark.parametrize(
    ("method", "body", "tries"), [*[(method, b"", 3) for method in IDEMPOTENT], ("PUT", b"x", 3), ("POST", b"", 1)]
)
async def test_an_idempotent_request_that_an_instance_may_have_seen_is_repeated_twice(
    tmp_path: Path, method: str, body: bytes, tries: int
) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(1) as (app,):
        gateway.set_hosts("hello", [app])
        async with Client(gateway.port, "hello") as client:
            head = f"{method} /reset HTTP/1.1\r\nhost: hello\r\ncontent-length: {len(body)}\r\n\r\n"
            client.writer.write(head.encode() + body)
            line = await client.reader.readuntil(b"\r\n")

        assert line.startswith(b"HTTP/1.1 503")
        assert (app.served, app.most) == (tries, 1)
        report = await gateway.reports.until_of("hello", lambda report: report["responses"] == {"503": 1})
        assert report["requests"] == 1


async def test_a_request_whose_body_exceeds_the_buffer_is_not_repeated(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}}).running() as gateway, instances(1) as (app,):
        gateway.set_hosts("hello", [app])
        async with Client(gateway.port, "hello") as client:
            body = b"x" * 3_000_000
            client.writer.write(b"PUT /reset HTTP/1.1\r\nhost: hello\r\ncontent-length: 3000000\r\n\r\n" + body)
            answer = await client.answer()

        assert (answer.status, answer.reason, app.served) == (503, "ConnectionClosed", 1)


async def twice(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An app that keeps the connection alive, and closes it instead of a second answer."""
    with contextlib.suppress(asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def test_a_connection_that_the_app_closes_after_one_request_loses_no_answer(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}}).running() as gateway:
        async with await asyncio.start_server(twice, "127.0.0.1", 0) as server:
            gateway.set_hosts("hello", [f"127.0.0.1:{server.sockets[0].getsockname()[1]}"])

            answers = [await get(gateway, "hello") for _ in range(20)]
            for _ in range(20):
                answers += await asyncio.gather(*[get(gateway, "hello") for _ in range(4)])

        assert {answer.status for answer in answers} == {200}


async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An app that answers after the headers, and closes the connection without reading the body."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 9\r\nconnection: close\r\n\r\ntoo large")
    writer.close()


async def test_an_answer_before_the_end_of_the_request_reaches_the_client(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}}).running() as gateway:
        async with await asyncio.start_server(refuses, "127.0.0.1", 0) as server:
            gateway.set_hosts("hello", [f"127.0.0.1:{server.sockets[0].getsockname()[1]}"])

            answers = [await upload(gateway, size) for size in (100_000, 1_000_000, 8_000_000) for _ in range(10)]

        assert answers == ["413 too large"] * 30
        await gateway.reports.until_of("hello", lambda report: report["responses"] == {"413": 30})


async def upload(gateway: Gateway, size: int) -> str:
    """Status and body of the answer that a client gets, which sends its body as far as it can and then reads."""

    def exchange() -> bytes:
        answer = b""
        with socket.create_connection(("127.0.0.1", gateway.port)) as connection:
            head = f"POST / HTTP/1.1\r\nhost: hello\r\ncontent-length: {size}\r\n\r\n"
            with contextlib.suppress(ConnectionError):
                connection.sendall(head.encode() + b"x" * size)
            with contextlib.suppress(ConnectionError):
                while not answer.endswith((b"too large", b")\n")) and (more := connection.recv(1 << 16)):
                    answer += more
        return answer

    head, _, body = (await asyncio.to_thread(exchange)).partition(b"\r\n\r\n")
    return f"{head.split(b' ', 2)[1].decode()} {body.decode()}"


async def test_an_instance_that_hangs_gets_no_new_requests_while_another_answers(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}}).running() as gateway, instances(2) as apps:
        gateway.set_hosts("hello", apps)
        await gateway.reports.until_of("hello", lambda report: len(report["hosts"]) == 2)
        async with Client(gateway.port, "hello") as client:
            client.send("/work/60")
            noticed = asyncio.create_task(gateway.reports.until_of("hello", lambda report: "silent" in report))
            while not noticed.done():
                await get(gateway, "hello")
            (hung,) = [app for app in apps if app.busy]
            before = hung.served
            answers = await asyncio.gather(*[get(gateway, "hello", "/work/0.01") for _ in range(20)])

        assert (await noticed)["silent"] == [hung.address]
        assert {answer.status for answer in answers} == {200}
        assert hung.served <= before + 1  # a trial


async def test_an_instance_that_refuses_connections_loses_no_answer(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(2) as (alive, dead):
        gateway.set_hosts("hello", [alive, dead])
        await dead.stop()

        answers = await asyncio.gather(*[get(gateway, "hello", "/work/0.002") for _ in range(40)])

        assert {answer.status for answer in answers} == {200}
        assert alive.most == 1
        assert alive.served == 40


@pytest.mark.parametrize(("retries", "body"), [(2, b"x" * 1000), (2, None), (0, None)])
async def test_requests_wait_for_a_live_instance_when_all_instances_are_dead(
    tmp_path: Path, retries: int, body: bytes | None
) -> None:
    gateway = Gateway(tmp_path, {"hello": ONE_AT_A_TIME}, retries=retries)
    async with gateway.running(), instances(2) as (alive, dead):
        gateway.set_hosts("hello", [dead])
        await gateway.reports.until_of("hello", lambda report: dead.address in report["hosts"])
        await dead.stop()
        async with Client(gateway.port, "hello") as first, Client(gateway.port, "hello") as second:
            first.send("/", body)
            second.send("/")
            await gateway.reports.until_of("hello", lambda report: report["requests"] == 2 and report["queued"] > 0)
            gateway.set_hosts("hello", [alive])
            assert [(await client.answer()).status for client in (first, second)] == [200, 200]
        assert alive.bytes == len(body or b"")
        report = await gateway.reports.until_of("hello", lambda report: report["responses"] == {"200": 2})
        assert report["requests"] == 2


async def test_a_full_queue_a_passed_deadline_and_held_bytes_have_different_reasons(tmp_path: Path) -> None:
    revisions: dict[str, JsonObject | None] = {
        "full": {"queueLength": 1},
        "late": {"queueDeadlineSeconds": 0.05},
        "heavy": {"heldBytes": 1000},
        "broken": {"unavailable": "ContainerFailed"},
    }
    async with Gateway(tmp_path, revisions).running() as gateway:
        waiting = asyncio.create_task(get(gateway, "full"))
        await gateway.reports.until_of("full", lambda report: report["queued"] == 1)
        full, late, broken = await asyncio.gather(*[get(gateway, name) for name in ("full", "late", "broken")])
        async with Client(gateway.port, "heavy") as client:
            heavy = await client.post("/", b"x" * 1001)
        waiting.cancel()

        assert (full.status, full.reason) == (503, "QueueFull")
        assert (late.status, late.reason) == (504, "QueueTimeout")
        assert (heavy.status, heavy.reason) == (503, "QueueFull")
        assert (broken.status, broken.reason) == (503, "ContainerFailed")
        assert {answer.headers["retry-after"] for answer in (full, late, heavy, broken)} == {"1"}
        for name, why in (
            ("full", "queueFull"),
            ("late", "deadline"),
            ("heavy", "heldBytes"),
            ("broken", "unavailable"),
        ):
            report = await gateway.reports.until_of(name, lambda report: bool(report["responses"]))
            assert report["refused"] == {why: 1}
            assert report["responses"] == {"504" if name == "late" else "503": 1}


async def test_the_headers_of_waiting_requests_count_as_held_bytes(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"heavy": {"heldBytes": 3000}}).running() as gateway:
        async with Client(gateway.port, "heavy") as light, Client(gateway.port, "heavy") as heavy:
            light.send("/", headers=f"x-some: {'x' * 1000}\r\n")
            heavy.send("/", headers=f"x-some: {'x' * 2000}\r\n")
            answers = [asyncio.create_task(client.answer()) for client in (light, heavy)]
            (refused,), (waits,) = await asyncio.wait(answers, return_when=asyncio.FIRST_COMPLETED)
            waits.cancel()

        answer = await refused
        assert (answer.status, answer.reason) == (503, "QueueFull")
        await gateway.reports.until_of("heavy", lambda report: report["refused"] == {"heldBytes": 1})


async def test_a_request_that_passes_its_timeout_frees_its_slot(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": ONE_AT_A_TIME}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)

        statuses = [(await get(gateway, "hello", path)).status for path in ("/late/60", "/", "/late/60", "/")]

        assert statuses == [504, 200, 504, 200]
        assert apps[0].most == 1


async def test_the_gate_ignores_other_clusters(tmp_path: Path) -> None:
    async with Gateway(tmp_path, {"hello": {}, "plain": None}).running() as gateway, instances(1) as apps:
        gateway.set_hosts("hello", apps)
        gateway.set_hosts("plain", apps)
        assert (await get(gateway, "hello")).status == 200

        async with Client(gateway.port, "plain") as client, asyncio.timeout(20):
            while (status := (await client.post("/status/404", b"x")).status) == 503:
                pass  # Envoy's worker does not know the instance yet
        assert status == 404
        assert "default/plain" not in gateway.reports.latest
