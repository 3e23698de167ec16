# SPDX-License-Identifier: Apache-2.0
"""Error responses: a sentence, a reason and the request's id, and nothing that a stranger must not know. A real
gateway, whose apps fail in every way."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from harness import make
from harness.gate import Answer, instances
from harness.gateway import World, world

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]
ID = r"[0-9a-f]{8}-[0-9a-f-]{27}"
SECRETS = ("secret", "envoy", "upstream", "127.0.0.1", "example.com-", "default", "00001", "gate_", "111")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("r")) as made, made.envoy():
        yield made


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def routed(gateway: World, name: str, port: int | None = None, **spec: Any) -> str:
    """The host of a revision, with an instance at that port if a port is given."""
    await gateway.apply(make.revision(f"{name}-00001", spec=make.template(**spec)["spec"]), make.ingress(name))
    if port is not None:
        await gateway.run_at(make.revision(f"{name}-00001"), At(port))
    await gateway.ready(name)
    return f"{name}.example.com"


@dataclass(frozen=True, slots=True)
class At:
    """An instance that listens on that port."""

    port: int


def holds(answer: Answer, status: int, reason: str) -> None:
    """Check that the response has that status and reason, in one sentence, and nothing else."""
    assert answer.status == status
    assert re.fullmatch(rf"[^(]+ \(reason: {reason}, request: {ID}\)\n", answer.body), answer.body
    assert answer.headers["x-request-id"] in answer.body
    assert answer.headers["content-type"] == "text/plain"
    text = str(answer).lower()
    assert [word for word in SECRETS if word in text.replace(answer.headers["x-request-id"], "")] == []


async def test_an_unknown_host_is_404_and_the_text_explains_the_host_header(gateway: World) -> None:
    answer = await gateway.get("nobody.example.com")

    holds(answer, 404, "NoRoute")
    assert "Host header" in answer.body


async def test_an_app_that_crashes_is_503_and_none_of_its_output_is_shown(gateway: World) -> None:
    host = await routed(gateway, "crashes")
    status = make.crashed("postgres://admin:secret@db")
    await gateway.apply(make.pod(make.revision("crashes-00001"), status=status))

    async with asyncio.timeout(20):
        answer = await gateway.get(host)

    holds(answer, 503, "ContainerFailed")
    assert answer.headers["retry-after"] == "1"


async def test_a_revision_that_does_not_exist_is_503_and_not_named(gateway: World) -> None:
    await gateway.apply(make.ingress("missing"))
    await gateway.ready("missing")

    holds(await gateway.get("missing.example.com"), 503, "RevisionMissing")


async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


async def babbles(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"secret words\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("app", "status", "reason"), [(closes, 503, "ConnectionClosed"), (babbles, 502, "InvalidResponse")]
)
async def test_an_app_that_does_not_respond_properly_has_a_reason_of_its_own(
    gateway: World, app: Serve, status: int, reason: str
) -> None:
    async with await asyncio.start_server(app, "127.0.0.1", 0) as server:
        host = await routed(gateway, app.__name__, server.sockets[0].getsockname()[1])

        holds(await gateway.get(host), status, reason)


@pytest.mark.parametrize(
    ("limit", "path", "reason"),
    [
        ({"responseStartTimeoutSeconds": 0.2}, "/work/60", "ResponseStartTimeout"),
        ({"idleTimeoutSeconds": 0.2}, "/work/60", "IdleTimeout"),
        ({"timeoutSeconds": 0.2, "responseStartTimeoutSeconds": 60}, "/work/60", "RequestTimeout"),
        ({"timeoutSeconds": 0.2}, None, "QueueTimeout"),
    ],
)
async def test_a_timeout_is_504_with_knatives_text(
    gateway: World, limit: dict[str, float], path: str | None, reason: str
) -> None:
    async with instances(1) as (app,):
        host = await routed(gateway, f"late-{reason.lower()}", app.port if path else None, **limit)

        answer = await gateway.get(host, path or "/")

    holds(answer, 504, reason)
    assert answer.body.startswith("request timeout")


async def test_malformed_http_is_400(gateway: World) -> None:
    async with gateway.client("nobody") as client:
        client.writer.write(b"GET / HTTP/1.1\r\nhost: nobody\r\nnot a header\r\n\r\n")
        answer = await client.answer()

    assert answer.status == 400
    assert "(reason: InvalidRequest, " in answer.body
    assert "codec" not in answer.body


async def test_a_redirect_has_no_text(gateway: World) -> None:
    await gateway.apply(make.revision("safe-00001"), make.ingress("safe", redirect=True))
    await gateway.ready("safe")

    answer = await gateway.get("safe.example.com")

    assert (answer.status, answer.body) == (301, "")


async def test_the_response_of_an_app_is_passed_on_unchanged(gateway: World) -> None:
    async with instances(1) as (app,):
        host = await routed(gateway, "fails", app.port)

        answer = await gateway.get(host, "/status/503")

    assert (answer.status, answer.body) == (503, app.address)
