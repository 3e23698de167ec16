# SPDX-License-Identifier: Apache-2.0
"""Traffic between apps: a service that only other apps can reach."""

import httpx
import pytest

from harness.platform import Platform, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]


async def test_a_cluster_local_service_is_reachable_only_through_the_internal_listener(platform: Platform) -> None:
    hidden = service("hidden")
    hidden["metadata"]["labels"] = {"networking.knative.dev/visibility": "cluster-local"}
    platform.apply(hidden)
    platform.wait_ready("hidden")
    state, urls = platform.get("ksvc", "hidden")["status"], platform.status()["urls"]
    address = httpx.URL(state["address"]["url"])

    async with httpx.AsyncClient() as client:
        outside = [
            await client.get(urls["http"], headers={"host": host})
            for host in (address.host, "hidden.default.localhost")
        ]
        inside = await client.get(urls["internal"], headers={"host": address.netloc.decode()})

    assert state["url"] == state["address"]["url"]
    assert (address.host, address.port) == ("hidden.default.svc.cluster.local", httpx.URL(urls["internal"]).port)
    assert [answer.status_code for answer in outside] == [404, 404]
    assert inside.text.split()[:2] == ["hello", "hidden-00001"]
