# SPDX-License-Identifier: Apache-2.0
"""Certificates that users bring in Secrets, as clients of a real Envoy see them."""

import asyncio
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from tests import make
from tests.gateway.gate import instances
from tests.gateway.world import World, world
from tidegate.gateway import certificates, tls
from tidegate.model import kinds
from tidegate.model.objects import Key, Object
from tidegate.xds.listener import Tls

HOST = "shop.example.com"
NAME = Key("default", "shop-tls")


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path, made(tmp_path, "example.com")) as running, running.envoy():
        yield running


def made(folder: Path, domain: str) -> Tls:
    return tls.certificate(folder / domain, datetime.now(UTC), domain)


def secret(files: Tls, **other: bytes) -> Object:
    data = {"tls.crt": files.certificate.read_bytes(), "tls.key": files.key.read_bytes(), **other}
    encoded = {field: b64encode(value).decode() for field, value in data.items()}
    return make.new(make._object("v1", "Secret", NAME.name, type="kubernetes.io/tls", data=encoded))


def ingress(*hosts: str) -> Object:
    obj = make.ingress("shop", make.rule(HOST, make.path({"shop-00001": 100})))
    obj["spec"]["tls"] = [{"hosts": list(hosts), "secretName": NAME.name, "secretNamespace": NAME.namespace}]
    return obj


async def shown(gateway: World, host: str) -> str:
    """The name of the domain whose certificate a client sees that asks for this host."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    _, writer = await asyncio.open_connection("127.0.0.1", gateway.https_port, ssl=context, server_hostname=host)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    names = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return names.get_values_for_type(x509.DNSName)[0]


async def test_the_secrets_certificate_is_shown_to_who_asks_for_its_host_and_the_own_one_to_others(
    gateway: World, tmp_path: Path
) -> None:
    async with instances(1) as (app,):
        revision = make.revision("shop-00001")
        await gateway.apply(revision, secret(made(tmp_path, "first.example")), ingress(HOST, "other.example.com"))
        await gateway.run_at(revision, app)
        await gateway.ready("shop")

        assert await eventually_shown(gateway, HOST, "first.example")
        assert await shown(gateway, "other.example.com") == "example.com"  # no host of this Ingress

        await gateway.apply(secret(made(tmp_path, "second.example")))
        assert await eventually_shown(gateway, HOST, "second.example")

        await gateway.delete(kinds.INGRESS, "shop")
        assert await eventually_shown(gateway, HOST, "example.com")


async def eventually_shown(gateway: World, host: str, domain: str) -> bool:
    async with asyncio.timeout(20):
        while await shown(gateway, host) != domain:
            await asyncio.sleep(0.01)
    return True


async def test_a_secret_that_is_not_there_shows_on_the_ingress_until_it_comes(gateway: World, tmp_path: Path) -> None:
    await gateway.apply(make.revision("shop-00001"), ingress(HOST))
    condition = await gateway.state("shop", "False")
    assert (condition["reason"], condition["message"]) == (
        "CertificateNotUsable",
        'Secret "default/shop-tls" does not exist.',
    )

    await gateway.apply(secret(made(tmp_path, "late.example")))

    await gateway.ready("shop")
    assert await eventually_shown(gateway, HOST, "late.example")


def test_what_is_wrong_with_a_secret_is_said(tmp_path: Path) -> None:
    good, other = made(tmp_path, "good.example"), made(tmp_path, "other.example")

    assert isinstance(certificates.pair(NAME, secret(good)), certificates.Pair)
    assert "does not exist" in certificates.pair(NAME, None)
    assert "has no tls.crt and no tls.key" in certificates.pair(NAME, {"data": {}})
    assert "no usable certificate" in certificates.pair(NAME, secret(good, **{"tls.crt": b"rubbish"}))
    assert "no usable certificate" in certificates.pair(NAME, {"data": {"tls.crt": "%", "tls.key": "%"}})
    swapped = secret(good, **{"tls.key": other.key.read_bytes()})
    assert "not that of its certificate" in certificates.pair(NAME, swapped)
