# SPDX-License-Identifier: Apache-2.0
"""Lists: selection, pages and revisions."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.apiserver import Served, served
from tests.apiserver import make
from tests.apiserver.make import given
from tidegate.model.kinds import CONFIG_MAP, EVENT, NAMESPACE, POD, SECRET
from tidegate.model.objects import Key

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, history=20) as server:
        for name, app in (("a", "x"), ("b", "y"), ("c", "x"), ("d", ""), ("e", "x")):
            labels = {"app": app, "n": name} if app else {}
            await given(server.api, CONFIG_MAP, make.config_map(name, labels=labels))
        yield server


@pytest.fixture
async def client(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client


async def listed(client: httpx.AsyncClient, path: str = CONFIG_MAPS, **query: Any) -> list[str]:
    answer = await client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [item["metadata"]["name"] for item in answer.json()["items"]]


async def rejection(client: httpx.AsyncClient, path: str = CONFIG_MAPS, **query: Any) -> tuple[int, str, str]:
    status = (await client.get(path, params=query)).json()
    return status["code"], status["reason"], status["message"]


async def test_a_list_has_its_kind_and_its_revision(server: Served, client: httpx.AsyncClient) -> None:
    answer = (await client.get(CONFIG_MAPS)).json()

    assert (answer["kind"], answer["apiVersion"]) == ("ConfigMapList", "v1")
    assert answer["metadata"] == {"resourceVersion": str(server.api.store.revision)}
    assert [item["metadata"]["name"] for item in answer["items"]] == list("abcde")


async def test_a_list_of_all_namespaces_is_in_the_order_of_namespaces(
    server: Served, client: httpx.AsyncClient
) -> None:
    await given(server.api, NAMESPACE, {"metadata": {"name": "another"}})
    await given(server.api, CONFIG_MAP, make.config_map("z", "another"))

    assert await listed(client, "/api/v1/configmaps") == ["z", *"abcde"]
    assert await listed(client, "/api/v1/configmaps", fieldSelector="metadata.namespace=another") == ["z"]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("app=x", "ace"),
        ("app==x", "ace"),
        ("app = x", "ace"),
        ("app!=x", "bd"),
        ("app", "abce"),
        ("!app", "d"),
        ("app in (x, z)", "ace"),
        ("app in (x,y),n notin (a,b)", "ce"),
        ("app notin (x)", "bd"),
        ("app=", ""),
        ("app=x,n=c", "c"),
        ("", "abcde"),
    ],
)
async def test_label_selectors_select_objects(selector: str, names: str, client: httpx.AsyncClient) -> None:
    assert await listed(client, labelSelector=selector) == list(names)


@pytest.mark.parametrize("selector", ["app=(", "=x", "app in x", "a b", "app=x,,", "app=x=y", "!", "app in (x", "ü=1"])
async def test_a_malformed_label_selector_is_rejected(selector: str, client: httpx.AsyncClient) -> None:
    code, reason, message = await rejection(client, labelSelector=selector)
    assert (code, reason) == (400, "BadRequest")
    assert "unable to parse requirement" in message


async def test_field_selectors_select_objects(server: Served, client: httpx.AsyncClient) -> None:
    await given(server.api, POD, make.pod("here", node="n1"))
    await given(server.api, POD, make.pod("there", node="n2"))
    await given(server.api, SECRET, make.secret(type="tls"))
    about = {"kind": "Pod", "name": "here", "uid": "7"}
    await given(
        server.api, EVENT, {"metadata": make.metadata("e"), "involvedObject": about, "source": {"component": "node"}}
    )
    pods, secrets, events = (f"/api/v1/namespaces/default/{kind}" for kind in ("pods", "secrets", "events"))

    assert await listed(client, fieldSelector="metadata.name=b") == ["b"]
    assert await listed(client, fieldSelector="metadata.name!=b") == list("acde")
    assert await listed(client, fieldSelector="metadata.name=b,metadata.namespace=other") == []
    assert await listed(client, fieldSelector="metadata.name=b", labelSelector="app=x") == []
    assert await listed(client, pods, fieldSelector="spec.nodeName=n1") == ["here"]
    assert await listed(client, pods, fieldSelector="status.phase!=Running") == ["here", "there"]
    assert await listed(client, secrets, fieldSelector="type=tls") == ["a"]
    assert await listed(client, events, fieldSelector="involvedObject.name=here,involvedObject.uid=7") == ["e"]
    assert await listed(client, events, fieldSelector="source=node") == ["e"]
    assert await listed(client, events, fieldSelector="involvedObject.kind=Node") == []


@pytest.mark.parametrize(
    ("selector", "message"),
    [("data.a=b", "field label not supported: data.a"), ("metadata.name", "invalid field selector")],
)
async def test_an_unsupported_field_selector_is_rejected(
    selector: str, message: str, client: httpx.AsyncClient
) -> None:
    code, _, text = await rejection(client, fieldSelector=selector)
    assert (code, message in text) == (400, True)


async def test_pages_show_one_revision_despite_writes_between_them(server: Served, client: httpx.AsyncClient) -> None:
    first = (await client.get(CONFIG_MAPS, params={"limit": 2})).json()
    await given(server.api, CONFIG_MAP, make.config_map("bb"))
    await server.api.delete(CONFIG_MAP, Key("default", "d"))
    second = (await client.get(CONFIG_MAPS, params={"limit": 2, "continue": first["metadata"]["continue"]})).json()
    third = (await client.get(CONFIG_MAPS, params={"limit": 2, "continue": second["metadata"]["continue"]})).json()

    pages = (first, second, third)
    assert [[item["metadata"]["name"] for item in page["items"]] for page in pages] == [["a", "b"], ["c", "d"], ["e"]]
    assert [page["metadata"].get("remainingItemCount") for page in pages] == [3, 1, None]
    assert len({page["metadata"]["resourceVersion"] for page in pages}) == 1
    assert "continue" not in third["metadata"]


async def test_pages_of_a_selection_have_no_remaining_count(client: httpx.AsyncClient) -> None:
    page = (await client.get(CONFIG_MAPS, params={"limit": 2, "labelSelector": "app=x"})).json()

    assert [item["metadata"]["name"] for item in page["items"]] == ["a", "c"]
    assert "remainingItemCount" not in page["metadata"]


@pytest.mark.parametrize("token", ["x", "bm90IGpzb24", "W10", "%00", "WyJhIiwiYiIsImMiXQ"])
async def test_a_foreign_continue_key_is_rejected(token: str, client: httpx.AsyncClient) -> None:
    code, _, message = await rejection(client, **{"continue": token})
    assert (code, message.startswith("continue key is not valid")) == (400, True)


async def test_a_list_of_an_old_revision_is_exact_and_one_of_a_dropped_revision_is_410(
    server: Served, client: httpx.AsyncClient
) -> None:
    before = server.api.store.revision
    await server.api.delete(CONFIG_MAP, Key("default", "a"))
    exactly: dict[str, Any] = {"resourceVersion": before, "resourceVersionMatch": "Exact"}

    assert await listed(client, **exactly) == list("abcde")
    assert await listed(client, resourceVersion=before, limit=2) == ["a", "b"]
    assert await listed(client, resourceVersion=before) == list("bcde")
    assert await listed(client, resourceVersion=before, resourceVersionMatch="NotOlderThan") == list("bcde")
    assert await listed(client, resourceVersion=0) == list("bcde")
    for n in range(30):
        obj = make.config_map("b", data={"n": str(n)})
        await server.api.update(CONFIG_MAP, Key("default", "b"), obj, user=make.USER)
    code, reason, _ = await rejection(client, **exactly)
    assert (code, reason) == (410, "Expired")


@pytest.mark.parametrize(
    ("query", "code", "reason"),
    [
        ({"resourceVersion": 10_000}, 504, "Timeout"),
        ({"resourceVersion": "x"}, 400, "BadRequest"),
        ({"resourceVersion": "1" * 40}, 400, "BadRequest"),
        ({"limit": "-1"}, 400, "BadRequest"),
        ({"resourceVersionMatch": "Exact"}, 422, "Invalid"),
        ({"resourceVersionMatch": "Roughly", "resourceVersion": 1}, 422, "Invalid"),
        ({"resourceVersionMatch": "Exact", "resourceVersion": 0}, 422, "Invalid"),
        ({"sendInitialEvents": "true"}, 422, "Invalid"),
        ({"watch": "perhaps"}, 400, "BadRequest"),
    ],
)
async def test_contradictory_parameters_are_rejected(
    query: dict[str, Any], code: int, reason: str, client: httpx.AsyncClient
) -> None:
    assert (await rejection(client, **query))[:2] == (code, reason)


async def test_a_revision_from_the_future_is_a_timeout_with_retry_after(client: httpx.AsyncClient) -> None:
    answer = await client.get(CONFIG_MAPS, params={"resourceVersion": 10_000})
    assert answer.headers["retry-after"] == "1"
    assert answer.json()["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


async def test_a_client_can_request_metadata_only(client: httpx.AsyncClient) -> None:
    headers = {"accept": "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,application/json"}
    answer = (await client.get(CONFIG_MAPS, headers=headers)).json()

    assert (answer["kind"], answer["apiVersion"]) == ("PartialObjectMetadataList", "meta.k8s.io/v1")
    assert {item["kind"] for item in answer["items"]} == {"PartialObjectMetadata"}
    assert all("data" not in item for item in answer["items"])
