# SPDX-License-Identifier: Apache-2.0
"""The server's socket, identity and kubeconfig."""

import asyncio
import base64
import socket
import ssl
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
import yaml
from starlette.responses import PlainTextResponse

from harness.apiserver import served
from tidegate.apiserver import kubeconfig, pki
from tidegate.apiserver.endpoints.streams import Streams
from tidegate.apiserver.server import HttpsServer
from tidegate.kit import addresses
from tidegate.kit.authority import AuthorityError
from tidegate.kit.clock import RealClock

NOW = RealClock().wall()


async def test_the_server_answers_this_machine_only_and_over_tls(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        port = httpx.URL(server.url).port
        assert port is not None
        async with httpx.AsyncClient() as plain:
            with pytest.raises(httpx.RemoteProtocolError):
                await plain.get(f"http://127.0.0.1:{port}/healthz")
        with pytest.raises(ConnectionRefusedError), socket.create_connection(("127.0.0.2", port)):
            pass
        async with httpx.AsyncClient() as untrusting:
            with pytest.raises(httpx.ConnectError):
                await untrusting.get(f"{server.url}/healthz")
        trust = ssl.create_default_context(cadata=server.identity.authority)
        async with httpx.AsyncClient(verify=trust) as client:
            assert (await client.get(f"https://localhost:{port}/healthz")).text == "ok"


@pytest.mark.parametrize("address", addresses.loopback())
async def test_the_server_answers_on_every_loopback_address(tmp_path: Path, address: str) -> None:
    async with served(tmp_path) as server:
        host = f"[{address}]" if ":" in address else address
        trust = ssl.create_default_context(cadata=server.identity.authority)
        async with httpx.AsyncClient(verify=trust) as client:
            assert (await client.get(f"https://{host}:{httpx.URL(server.url).port}/healthz")).text == "ok"


HEALTHY = PlainTextResponse("ok")


async def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = HttpsServer(HEALTHY, Streams(1), pki.identity(tmp_path / "pki", NOW), taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await server.run()


async def test_the_kubeconfig_has_all_that_a_client_needs_and_is_private(tmp_path: Path) -> None:
    async with served(tmp_path) as server:
        assert server.kubeconfig.stat().st_mode & 0o777 == 0o600
        config = yaml.safe_load(server.kubeconfig.read_text())
        (context,), (cluster,), (user,) = config["contexts"], config["clusters"], config["users"]
        assert config["current-context"] == context["name"]
        assert (context["context"]["cluster"], context["context"]["user"]) == (cluster["name"], user["name"])
        authority = base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode()
        trust = ssl.create_default_context(cadata=authority)
        headers = {"authorization": f"Bearer {user['user']['token']}"}
        async with httpx.AsyncClient(verify=trust, headers=headers) as client:
            assert (await client.get(f"{cluster['cluster']['server']}/api")).status_code == 200


async def test_a_server_can_be_started_again_on_its_port_at_once(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.client() as client:
        await client.get("/healthz")
        port = httpx.URL(server.url).port or 0
    again = HttpsServer(HEALTHY, Streams(1), server.identity, port)
    running = asyncio.create_task(again.run())
    assert await asyncio.wait_for(again.started(), 10) == port
    async with server.client() as client:
        assert (await client.get("/healthz")).text == "ok"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


# The identity


def test_an_identity_stays_and_is_private(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    first = pki.identity(folder, NOW)

    assert pki.identity(folder, NOW + timedelta(days=1)) == first
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert len(first.token) >= 32


def test_a_certificate_that_expires_soon_is_renewed_by_the_same_authority(tmp_path: Path) -> None:
    first = pki.identity(tmp_path, NOW)
    before = first.certificate.read_text()
    later = pki.identity(tmp_path, NOW + timedelta(days=340))

    assert later.certificate.read_text() != before
    assert (later.authority, later.token) == (first.authority, first.token)


def test_other_hosts_need_another_certificate(tmp_path: Path) -> None:
    before = pki.identity(tmp_path, NOW).certificate.read_text()

    assert pki.identity(tmp_path, NOW, hosts=("localhost", "tidegate.example")).certificate.read_text() != before


DAMAGES = ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]


@pytest.mark.parametrize(
    ("name", "damage"),
    [(name, damage) for name in ("server.crt", "server.key") for damage in (*DAMAGES, None)] + [("ca.crt", None)],
)
def test_missing_or_damaged_certificates_are_replaced(name: str, damage: str | None, tmp_path: Path) -> None:
    token = pki.identity(tmp_path, NOW).token
    if damage is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_text(damage)

    identity = pki.identity(tmp_path, NOW)

    assert identity.token == token
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(identity.certificate, identity.key)
    assert pki.identity(tmp_path, NOW) == identity


@pytest.mark.parametrize(("name", "damage"), [("ca.crt", DAMAGES[0]), ("ca.key", DAMAGES[1]), ("ca.key", None)])
def test_a_damaged_authority_is_an_error_of_one_line(name: str, damage: str | None, tmp_path: Path) -> None:
    pki.identity(tmp_path, NOW)
    before = (tmp_path / "server.crt").read_bytes()
    (tmp_path / name).unlink()
    if damage is not None:
        (tmp_path / name).write_text(damage)

    with pytest.raises(AuthorityError, match=r"is damaged: restore both files, or remove ca\.crt") as rejection:
        pki.identity(tmp_path, NOW)

    assert "\n" not in str(rejection.value)
    assert (tmp_path / "server.crt").read_bytes() == before


@pytest.mark.parametrize("damage", ["", "\n", "a\0b", "two words", None])
def test_a_damaged_or_missing_token_is_restored_from_the_kubeconfig(damage: str | None, tmp_path: Path) -> None:
    folder, file = tmp_path / "pki", tmp_path / "kubeconfig"
    before = pki.identity(folder, NOW)
    kubeconfig.write(file, before, 6443)
    (folder / "token").unlink()
    if damage is not None:
        (folder / "token").write_text(damage)

    assert pki.identity(folder, NOW, known=kubeconfig.token(file)) == before


@pytest.mark.parametrize("found", ["", "users: [", "users: []", "users: [{user: {token: 7}}]", "\xff"])
def test_a_damaged_token_is_replaced_if_the_kubeconfig_has_none(found: str, tmp_path: Path) -> None:
    before = pki.identity(tmp_path, NOW)
    (tmp_path / "token").write_text("")
    (tmp_path / "kubeconfig").write_bytes(found.encode("latin-1"))

    after = pki.identity(tmp_path, NOW, known=kubeconfig.token(tmp_path / "kubeconfig"))

    assert len(after.token) > 20
    assert after.token != before.token
    assert pki.identity(tmp_path, NOW) == after


def test_an_expired_authority_is_replaced_with_its_certificates(tmp_path: Path) -> None:
    first = pki.identity(tmp_path, NOW)
    later = pki.identity(tmp_path, NOW + timedelta(days=365 * 10))

    assert later.authority != first.authority
    assert pki.identity(tmp_path, NOW + timedelta(days=365 * 10)) == later


async def test_metrics_need_the_token(tmp_path: Path) -> None:
    async with served(tmp_path) as server, server.client() as client:
        answer = await client.get("/metrics")
        assert (answer.status_code, answer.text) == (200, "answers_total 42\n")
        assert answer.headers["content-type"].startswith("text/plain")
        assert (await client.get("/metrics", headers={"authorization": "Bearer wrong"})).status_code == 401
