# SPDX-License-Identifier: Apache-2.0
"""Tokens of service accounts: requested, used and verified over the API."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.apiserver import Served, opened, served
from tests.apiserver import make
from tests.apiserver.make import eventually, exists
from tidegate.apiserver.access.signing_key import SigningKey
from tidegate.apiserver.access.tokens import ISSUER, ServiceAccountTokens
from tidegate.apiserver.registry.api import Api
from tidegate.apiserver.upkeep.service_accounts import ServiceAccounts
from tidegate.kit.clock import RealClock, VirtualClock
from tidegate.model.kinds import NAMESPACE, POD, SERVICE_ACCOUNT
from tidegate.model.objects import Key
from tidegate.model.registry.deletion import DeleteOptions
from tidegate.model.tokens import TokenOptions
from tidegate.model.user import User

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
DEFAULT = Key("default", "default")
USER = "system:serviceaccount:default:default"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as server:
        yield server


@pytest.fixture
async def admin(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client


@dataclass
class Issuer:
    api: Api
    tokens: ServiceAccountTokens
    clock: VirtualClock

    async def token(self, seconds: int = 600, bound: Any = None, audiences: tuple[str, ...] = ()) -> str:
        return (await self.tokens.issue(DEFAULT, TokenOptions(audiences, seconds), bound)).text


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[Issuer]:
    clock = VirtualClock()
    async with opened(tmp_path, clock) as api:
        yield Issuer(api, ServiceAccountTokens(api, tmp_path, clock), clock)


async def requested(client: httpx.AsyncClient, name: str = "default", **spec: Any) -> httpx.Response:
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return await client.post(f"{ACCOUNTS}/{name}/token", json=body)


def claims(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


async def test_a_requested_token_names_its_account_its_audience_and_its_end(admin: httpx.AsyncClient) -> None:
    answer = await requested(admin, expirationSeconds=1200, audiences=["vault"])

    assert answer.status_code == 201
    token = answer.json()["status"]["token"]
    found = claims(token)
    assert len(token.split(".")) == 3
    assert (found["iss"], found["sub"], found["aud"]) == (ISSUER, USER, ["vault"])
    assert found["exp"] - found["iat"] == 1200
    assert found["kubernetes.io"]["namespace"] == "default"
    assert answer.json()["spec"] == {"audiences": ["vault"], "expirationSeconds": 1200}


@pytest.mark.parametrize(
    ("spec", "code", "message"),
    [
        (
            {"expirationSeconds": 599},
            422,
            "spec.expirationSeconds: Invalid value: 599: may not specify a duration",
        ),
        ({"expirationSeconds": 2**33}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"expirationSeconds": "x"}, 422, "must be an integer"),
        ({"expirationSeconds": True}, 422, "must be an integer"),
        ({"audiences": [1]}, 400, "spec.audiences must be a list"),
        ({"audiences": "x" * 33}, 400, "spec.audiences must be a list"),
        ({"boundObjectRef": {"kind": "Pod", "name": "missing"}}, 404, 'pods "missing" not found'),
        ({"boundObjectRef": {"kind": "Node", "name": "here"}}, 400, "cannot bind token for serviceaccount"),
        ({"boundObjectRef": "x"}, 400, "boundObjectRef must be an object"),
    ],
)
async def test_wrong_token_requests_are_rejected(
    admin: httpx.AsyncClient, spec: dict[str, Any], code: int, message: str
) -> None:
    answer = await requested(admin, **spec)

    assert (answer.status_code, message in answer.json()["message"]) == (code, True), answer.text


async def test_accounts_that_do_not_exist_have_no_tokens(admin: httpx.AsyncClient) -> None:
    assert (await requested(admin, "nobody")).json()["message"] == 'serviceaccounts "nobody" not found'


async def test_a_service_account_may_only_ask_about_the_api_and_itself(
    server: Served, admin: httpx.AsyncClient
) -> None:
    token = (await requested(admin)).json()["status"]["token"]
    async with server.client(authorization=f"Bearer {token}") as client:
        pods = await client.get("/api/v1/namespaces/default/pods")
        secret = await client.get("/api/v1/namespaces/default/secrets/x")
        write = await client.post("/api/v1/namespaces/default/configmaps", json=make.config_map())
        other = await requested(client)
        review = await client.post(REVIEWS, json={"spec": {"token": token}})
        metrics = await client.get("/metrics")
        me = await client.post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json={})
        asked = {"spec": {"resourceAttributes": {"verb": "get", "resource": "secrets", "namespace": "default"}}}
        may = await client.post("/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", json=asked)
        allowed = [
            (await client.get(path)).status_code for path in ("/api", "/apis", "/version", "/openapi/v3", "/healthz")
        ]

    forbidden = f'User "{USER}" cannot'
    assert pods.json()["message"] == (
        f'pods is forbidden: {forbidden} list resource "pods" in API group "" in the namespace "default"'
    )
    assert secret.json()["message"] == (
        f'secrets "x" is forbidden: {forbidden} get resource "secrets" in API group "" in the namespace "default"'
    )
    assert f'{forbidden} create resource "serviceaccounts/token"' in other.json()["message"]
    assert [answer.status_code for answer in (pods, secret, write, other, review, metrics)] == [403] * 6
    assert metrics.json()["message"] == f'forbidden: {forbidden} get path "/metrics"'
    assert me.json()["status"]["userInfo"]["username"] == USER
    assert may.json()["status"]["allowed"] is False
    assert allowed == [200] * 5


async def test_a_token_for_another_audience_is_no_key_to_the_api(server: Served, admin: httpx.AsyncClient) -> None:
    token = (await requested(admin, audiences=["vault"])).json()["status"]["token"]
    async with server.client(authorization=f"Bearer {token}") as client:
        assert (await client.get("/api")).status_code == 401

    async def review(**spec: Any) -> Any:
        return (await admin.post(REVIEWS, json={"spec": {"token": token, **spec}})).json()["status"]

    assert await review() == {"user": {}, "error": "invalid bearer token"}
    found = await review(audiences=["vault", "other"])
    assert (found["authenticated"], found["user"]["username"]) == (True, USER)


async def test_programs_can_verify_tokens_with_the_published_key(admin: httpx.AsyncClient) -> None:
    token = (await requested(admin, audiences=["vault"])).json()["status"]["token"]

    discovered = (await admin.get("/.well-known/openid-configuration")).json()
    keys = jwt.PyJWKSet.from_dict((await admin.get(discovered["jwks_uri"])).json())
    key = keys[jwt.get_unverified_header(token)["kid"]]

    assert jwt.decode(token, key.key, ["ES256"], audience="vault", issuer=discovered["issuer"])["sub"] == USER


async def test_discovery_lists_the_token_subresource(admin: httpx.AsyncClient) -> None:
    found = {entry["name"]: entry["verbs"] for entry in (await admin.get("/api/v1")).json()["resources"]}

    assert found["serviceaccounts/token"] == ["create"]
    assert (await admin.get(f"{ACCOUNTS}/default/token")).status_code == 405


async def test_an_expired_token_has_no_user(issuer: Issuer) -> None:
    token = await issuer.token(600)
    assert issuer.tokens.user(token) == User(
        USER, ("system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated")
    )

    await issuer.clock.advance(600)

    assert issuer.tokens.user(token) is None


async def test_a_token_is_invalid_once_its_pod_is_deleted(issuer: Issuer) -> None:
    pod = (await issuer.api.create(POD, "default", make.pod(node="here"), user=make.USER)).object
    token = await issuer.token(86400, pod)
    assert issuer.tokens.user(token) is not None

    await issuer.api.delete(POD, Key("default", "a"), DeleteOptions())  # it has 30 s of grace
    await issuer.clock.advance(60)
    assert issuer.tokens.user(token) is not None
    await issuer.clock.advance(60)
    assert issuer.tokens.user(token) is None
    await issuer.api.delete(POD, Key("default", "a"), DeleteOptions(grace_seconds=0))
    assert issuer.tokens.user(token) is None


async def test_a_token_of_an_account_that_was_made_again_is_invalid(issuer: Issuer) -> None:
    token = await issuer.token()
    await issuer.api.delete(SERVICE_ACCOUNT, DEFAULT)
    await issuer.token()

    assert issuer.tokens.user(token) is None


async def test_a_token_survives_a_restart_and_ends_with_its_key(issuer: Issuer, tmp_path: Path) -> None:
    token = await issuer.token()
    assert ServiceAccountTokens(issuer.api, tmp_path, issuer.clock).user(token) is not None

    (tmp_path / "sa.key").write_text("damaged")

    assert ServiceAccountTokens(issuer.api, tmp_path, issuer.clock).user(token) is None
    assert (tmp_path / "sa.key").stat().st_mode & 0o777 == 0o600


@given(st.data())
def test_no_changed_token_is_valid(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    key = _key(tmp_path_factory)
    token = key.sign({"sub": "x"})
    place = data.draw(st.integers(0, len(token) - 1))
    sign = data.draw(st.characters(codec="ascii"))
    changed = f"{token[:place]}{sign}{token[place + 1 :]}"

    # The last sign of a signature has bits that do not count.
    if changed != token and place != len(token) - 1:
        assert key.claims(changed) is None


_keys: list[SigningKey] = []


def _key(factory: pytest.TempPathFactory) -> SigningKey:
    if not _keys:
        _keys.append(SigningKey(factory.mktemp("key")))
    return _keys[0]


async def test_other_algorithms_are_rejected(issuer: Issuer) -> None:
    token = await issuer.token()
    body = claims(token)
    public = json.dumps(issuer.tokens.key_set)

    unsigned = jwt.encode(body, None, "none")  # type: ignore[arg-type]
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode()).rstrip(b"=").decode()
    symmetric = jwt.encode(body, public.encode() * 2, "HS256")

    for forged in (
        unsigned,
        symmetric,
        f"{header}.{token.split('.')[1]}.{token.split('.')[2]}",
        "a.b.c",
        "..",
        "x" * 9000,
    ):
        assert issuer.tokens.user(forged) is None


async def test_every_namespace_gets_the_default_account(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        upkeep = asyncio.create_task(ServiceAccounts(api, clock=RealClock()).run())
        try:
            await eventually(lambda: exists(api, SERVICE_ACCOUNT, "default"))
            await api.create(NAMESPACE, "", {"metadata": {"name": "team"}}, user=make.USER)
            await eventually(lambda: exists(api, SERVICE_ACCOUNT, "default", "team"))
            await api.delete(SERVICE_ACCOUNT, Key("team", "default"))
            await eventually(lambda: exists(api, SERVICE_ACCOUNT, "default", "team"))
            await api.delete(NAMESPACE, Key("", "team"))
            await eventually(lambda: not exists(api, NAMESPACE, "team", ""))
            assert not exists(api, SERVICE_ACCOUNT, "default", "team")
        finally:
            upkeep.cancel()
            await asyncio.gather(upkeep, return_exceptions=True)
