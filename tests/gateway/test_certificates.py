# SPDX-License-Identifier: Apache-2.0
"""The certificates that clients of a real Envoy get, by the host that they name."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from harness import make
from harness.gate import instances
from harness.gateway import Envoy, World, world
from harness.waiting import eventually
from tidegate.gateway.publisher import certificates
from tidegate.gateway.publisher.certificates import KeyPair
from tidegate.gateway.publisher.own_certificates import OwnCertificates
from tidegate.model import kinds
from tidegate.model.objects import Key, Object

HOST = "shop.example.com"
NAME = Key("default", "shop-tls")
REFUSED = "refused"


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, tls=True) as running, running.envoy():
        yield running


def made(folder: Path, host: str) -> KeyPair:
    return OwnCertificates(folder / host, datetime.now(UTC)).of(host)


def secret(pair: KeyPair, **other: bytes) -> Object:
    data = {"tls.crt": pair.certificate, "tls.key": pair.key, **other}
    encoded = {field: b64encode(value).decode() for field, value in data.items()}
    return make.new(make._object("v1", "Secret", NAME.name, type="kubernetes.io/tls", data=encoded))


def ingress(*hosts: str) -> Object:
    path = make.path({"shop-00001": 100})
    rules = make.rule([HOST, "other.example.com"], path), make.rule("shop.default", path, local=True)
    obj = make.ingress("shop", *rules)
    if hosts:
        obj["spec"]["tls"] = [{"hosts": list(hosts), "secretName": NAME.name, "secretNamespace": NAME.namespace}]
    return obj


async def shown(gateway: World, host: str | None) -> str:
    """The first name of the certificate that a client of this host gets."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        async with asyncio.timeout(20):
            _, writer = await asyncio.open_connection(
                "127.0.0.1", gateway.https_port, ssl=context, server_hostname=host or ""
            )
    except (ssl.SSLError, ConnectionError):
        return REFUSED
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)[0]


async def eventually_shown(gateway: World, host: str, name: str) -> bool:
    async def is_shown() -> bool:
        return await shown(gateway, host) == name

    return await eventually(is_shown)


async def test_a_secrets_certificate_is_used_for_its_hosts_and_the_gateways_own_for_others(
    gateway: World, tmp_path: Path
) -> None:
    async with instances(1) as (app,):
        revision = make.revision("shop-00001")
        await gateway.apply(revision, secret(made(tmp_path, "first.test")), ingress(HOST))
        await gateway.run_at(revision, app)
        await gateway.ready("shop")

        assert await shown(gateway, HOST) == "first.test"
        assert await shown(gateway, "other.example.com") == "*.example.com"

        await gateway.apply(secret(made(tmp_path, "second.test")))
        assert await eventually_shown(gateway, HOST, "second.test")

        await gateway.apply(ingress())
        assert await eventually_shown(gateway, HOST, "*.example.com")


async def test_unknown_hosts_are_rejected_and_clients_without_sni_get_the_machines_certificate(gateway: World) -> None:
    await gateway.apply(make.revision("shop-00001"), ingress())
    await gateway.ready("shop")

    assert await shown(gateway, HOST) == "*.example.com"
    assert await shown(gateway, None) == "localhost"
    for host in ("nobody.example.com", "shop.default", "localhost"):
        assert await shown(gateway, host) == REFUSED

    await gateway.delete(kinds.INGRESS, "shop")
    assert await eventually_shown(gateway, HOST, REFUSED)


async def test_hosts_of_every_namespace_are_certified(gateway: World) -> None:
    for namespace in ("blue", "green"):
        rule = make.rule(f"shop.{namespace}.example.com", make.path({"shop-00001": 100}))
        await gateway.apply(make.ingress(namespace, rule))
        await gateway.ready(namespace)

        assert await eventually_shown(gateway, f"shop.{namespace}.example.com", f"*.{namespace}.example.com")


async def test_envoy_forgets_unknown_names_of_clients(gateway: World) -> None:
    (envoy,) = gateway.envoys
    await gateway.apply(make.revision("shop-00001"), ingress())
    await gateway.ready("shop")
    assert await shown(gateway, HOST) == "*.example.com"

    for number in range(50):
        assert await shown(gateway, f"made-up-{number}.example.com") == REFUSED

    async def are_forgotten() -> bool:
        return await remembered(envoy) <= 1

    await eventually(are_forgotten)


async def remembered(envoy: Envoy) -> int:
    """The number of hosts whose certificates Envoy has or waits for."""
    lines = (await envoy.admin("/stats?filter=cert_active")).splitlines()
    return sum(int(line.rpartition(" ")[2]) for line in lines)


async def test_a_change_of_one_hosts_certificate_leaves_the_listener_alone(gateway: World, tmp_path: Path) -> None:
    (envoy,) = gateway.envoys
    await gateway.apply(make.revision("shop-00001"), secret(made(tmp_path, "first.test")), ingress(HOST))
    await gateway.ready("shop")
    assert await shown(gateway, HOST) == "first.test"
    before = await envoy.counter("listener_manager.lds.update_success")

    await gateway.apply(secret(made(tmp_path, "second.test")))
    assert await eventually_shown(gateway, HOST, "second.test")
    await gateway.apply(ingress())
    assert await eventually_shown(gateway, HOST, "*.example.com")

    assert await envoy.counter("listener_manager.lds.update_success") == before


async def test_a_missing_secret_is_reported_on_the_ingress_until_it_is_created(gateway: World, tmp_path: Path) -> None:
    await gateway.apply(make.revision("shop-00001"), ingress(HOST))
    condition = await gateway.state("shop", "False")
    assert (condition["reason"], condition["message"]) == (
        "CertificateNotUsable",
        'Secret "default/shop-tls" does not exist.',
    )

    await gateway.apply(secret(made(tmp_path, "late.test")))

    await gateway.ready("shop")
    assert await eventually_shown(gateway, HOST, "late.test")


def test_the_problem_of_a_secret_is_described(tmp_path: Path) -> None:
    good, other = made(tmp_path, "good.test"), made(tmp_path, "other.test")

    assert isinstance(certificates.key_pair(NAME, secret(good)), certificates.KeyPair)
    assert "does not exist" in certificates.key_pair(NAME, None)
    assert "has no tls.crt and no tls.key" in certificates.key_pair(NAME, {"data": {}})
    assert "no usable certificate" in certificates.key_pair(NAME, secret(good, **{"tls.crt": b"rubbish"}))
    assert "no usable certificate" in certificates.key_pair(NAME, {"data": {"tls.crt": "%", "tls.key": "%"}})
    swapped = secret(good, **{"tls.key": other.key})
    assert "does not belong to its certificate" in certificates.key_pair(NAME, swapped)
