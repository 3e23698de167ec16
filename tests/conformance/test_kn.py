# SPDX-License-Identifier: Apache-2.0
"""The requests of kn, in its format: kn waits with a watch of one name and reads MODIFIED events only.

Facts: knative/client pkg/serving/v1/client.go and pkg/wait.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.apiserver import Served, cluster_of, served
from tests.apiserver import make
from tests.conformance.test_kubectl import HELLO, admit
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import SERVICE
from tidegate.model.objects import Object

SERVICES = "/apis/serving.knative.dev/v1/namespaces/default/services"
CLIENT = {"accept": "application/json, */*", "user-agent": "kn/v1.20 (linux/amd64)"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path, admit=admit, unknown_fields=BUILT_IN_SCHEME.unknown_fields) as server:
        yield server


@pytest.fixture
async def kn(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client(**CLIENT) as client:
        yield client


@asynccontextmanager
async def waiting(kn: httpx.AsyncClient, **query: Any) -> AsyncIterator[AsyncIterator[Object]]:
    """The watch that kn waits on."""
    params = {"fieldSelector": "metadata.name=hello", "timeoutSeconds": "630", "watch": "true", **query}
    async with kn.stream("GET", SERVICES, params=params) as answer:
        assert answer.status_code == 200
        yield (json.loads(line) async for line in answer.aiter_lines())


async def write_status(server: Served, generation: int, ready: str) -> None:
    status = {"observedGeneration": generation, "conditions": [{"type": "Ready", "status": ready}]}
    await cluster_of(server.api, "controller").patch(SERVICE, HELLO, {"status": status}, subresource="status")


def is_ready(event: Object) -> bool:
    """kn's rule: a MODIFIED event of the requested generation, with Ready True."""
    status = event["object"].get("status") or {}
    seen = event["object"]["metadata"]["generation"] == status.get("observedGeneration")
    ready = {entry["type"]: entry["status"] for entry in status.get("conditions") or ()}.get("Ready")
    return bool(event["type"] == "MODIFIED" and seen and ready == "True")


async def test_service_create_waits_for_the_ready_event(server: Served, kn: httpx.AsyncClient) -> None:
    assert (await kn.get(f"{SERVICES}/hello")).status_code == 404
    created = (await kn.post(SERVICES, json=make.service())).json()
    async with waiting(kn, resourceVersion=created["metadata"]["resourceVersion"]) as events:
        for generation, ready in ((0, "True"), (1, "Unknown"), (1, "True")):
            await write_status(server, generation, ready)
        seen = [await asyncio.wait_for(anext(events), 10) for _ in range(3)]

    assert [is_ready(event) for event in seen] == [False, False, True]


async def test_a_missing_service_is_watched_without_a_version(server: Served, kn: httpx.AsyncClient) -> None:
    async with waiting(kn) as events:
        await kn.post(SERVICES, json=make.service())
        assert (await asyncio.wait_for(anext(events), 10))["type"] == "ADDED"
        await write_status(server, 1, "True")
        assert is_ready(await asyncio.wait_for(anext(events), 10))


async def test_service_update_writes_the_read_object_and_retries_a_conflict(
    server: Served, kn: httpx.AsyncClient
) -> None:
    created = (await kn.post(SERVICES, json=make.service())).json()
    await write_status(server, 1, "True")
    created["spec"]["template"]["spec"]["containers"][0]["image"] = "two"
    conflict = await kn.put(f"{SERVICES}/hello", json=created)
    assert (conflict.status_code, conflict.json()["reason"]) == (409, "Conflict")
    current = (await kn.get(f"{SERVICES}/hello")).json()
    current["spec"] = created["spec"]
    updated = (await kn.put(f"{SERVICES}/hello", json=current)).json()

    assert updated["metadata"]["generation"] == 2
    assert updated["status"]["observedGeneration"] == 1


async def test_service_apply_merges(kn: httpx.AsyncClient) -> None:
    await kn.post(SERVICES, json=make.service())
    patch = {"spec": {"template": {"metadata": {"annotations": {"autoscaling.knative.dev/min-scale": "1"}}}}}
    merged = await kn.patch(f"{SERVICES}/hello", json=patch, headers={"content-type": "application/merge-patch+json"})
    assert merged.json()["spec"]["template"]["metadata"]["annotations"] == {"autoscaling.knative.dev/min-scale": "1"}
    assert merged.json()["metadata"]["generation"] == 2


async def test_service_delete_is_foreground_and_waits_for_deleted(server: Served, kn: httpx.AsyncClient) -> None:
    created = (await kn.post(SERVICES, json=make.service())).json()
    async with waiting(kn, resourceVersion=created["metadata"]["resourceVersion"]) as events:
        answer = await kn.request("DELETE", f"{SERVICES}/hello", json={"propagationPolicy": "Foreground"})
        assert answer.status_code == 200
        types = []
        while "DELETED" not in types:
            types.append((await asyncio.wait_for(anext(events), 10))["type"])

    assert not make.exists(server.api, SERVICE, "hello")


async def test_an_unserved_kind_is_a_plain_404_which_kn_reads_as_not_installed(
    kn: httpx.AsyncClient,
) -> None:
    answer = await kn.get("/apis/eventing.knative.dev/v1/namespaces/default/triggers")

    assert (answer.status_code, answer.text) == (404, "404 page not found\n")
