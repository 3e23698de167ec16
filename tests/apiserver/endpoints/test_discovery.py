# SPDX-License-Identifier: Apache-2.0
"""The documents by which clients discover the API: groups, versions, resources, schemas."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from harness.apiserver import served
from tidegate.apiserver.endpoints import discovery
from tidegate.model import kinds
from tidegate.model.objects import Object

AGGREGATED = {"accept": "application/json;v=v2;g=apidiscovery.k8s.io;as=APIGroupDiscoveryList,application/json"}
STRATEGIC = "application/strategic-merge-patch+json"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with served(tmp_path) as server, server.client() as client:
        yield client


async def test_the_aggregated_documents_name_every_kind_once(client: httpx.AsyncClient) -> None:
    found: list[tuple[str, str, str]] = []
    for path in ("/api", "/apis"):
        answer = await client.get(path, headers=AGGREGATED)
        assert answer.headers["content-type"] == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
        document = answer.json()
        assert (document["kind"], document["apiVersion"]) == ("APIGroupDiscoveryList", "apidiscovery.k8s.io/v2")
        for group in document["items"]:
            for version in group["versions"]:
                assert version["freshness"] == "Current"
                for resource in version["resources"]:
                    found.append((group["metadata"].get("name", ""), version["version"], resource["resource"]))

    expected = [(kind.group, kind.version, kind.plural) for kind in (*kinds.BUILT_IN_KINDS, *discovery.REVIEWS)]
    assert sorted(found) == sorted(expected)


async def test_a_resource_lists_its_names_verbs_and_subresources(client: httpx.AsyncClient) -> None:
    (core,) = (await client.get("/api", headers=AGGREGATED)).json()["items"]
    pods = resource_of(core, "pods")
    assert (pods["scope"], pods["singularResource"], pods["shortNames"]) == ("Namespaced", "pod", ["po"])
    subresources = {each["subresource"]: (each["responseKind"]["kind"], each["verbs"]) for each in pods["subresources"]}
    assert subresources == {
        "status": ("Pod", ["get", "patch", "update"]),
        "log": ("Pod", ["get"]),
        "exec": ("PodExecOptions", ["create", "get"]),
        "attach": ("PodAttachOptions", ["create", "get"]),
        "portforward": ("PodPortForwardOptions", ["create", "get"]),
    }
    assert resource_of(core, "namespaces")["scope"] == "Cluster"
    assert "subresources" not in resource_of(core, "configmaps")
    (serving,) = [
        group
        for group in (await client.get("/apis", headers=AGGREGATED)).json()["items"]
        if group["metadata"]["name"] == "serving.knative.dev"
    ]
    services = resource_of(serving, "services")
    assert services["shortNames"] == ["kservice", "ksvc"]
    assert services["categories"] == ["all", "knative", "serving"]
    assert services["verbs"] == list(discovery.VERBS)


def resource_of(group: Object, name: str) -> Object:
    return next(resource for resource in group["versions"][0]["resources"] if resource["resource"] == name)


async def test_older_clients_read_one_document_per_version(client: httpx.AsyncClient) -> None:
    versions = (await client.get("/api")).json()
    assert (versions["kind"], versions["versions"]) == ("APIVersions", ["v1"])
    groups = (await client.get("/apis")).json()
    assert groups["kind"] == "APIGroupList"
    for group in groups["groups"]:
        assert (await client.get(f"/apis/{group['name']}")).json() == {"kind": "APIGroup", "apiVersion": "v1", **group}
        (version,) = group["versions"]
        resources = (await client.get(f"/apis/{version['groupVersion']}")).json()
        assert (resources["kind"], resources["groupVersion"]) == ("APIResourceList", version["groupVersion"])
    core = (await client.get("/api/v1")).json()
    assert {"pods", "pods/status", "pods/log", "namespaces", "configmaps"} <= {
        resource["name"] for resource in core["resources"]
    }
    for path in ("/api/v2", "/apis/nothing.dev", "/apis/serving.knative.dev/v2"):
        assert (await client.get(path)).status_code == 404


async def test_openapi_is_listed_by_hash_and_has_a_schema_of_each_kind(client: httpx.AsyncClient) -> None:
    index = (await client.get("/openapi/v3")).json()["paths"]
    for kind in kinds.BUILT_IN_KINDS:
        path = f"apis/{kind.group}/{kind.version}" if kind.group else f"api/{kind.version}"
        answer = await client.get(index[path]["serverRelativeURL"])
        document = answer.json()
        marks = [
            mark
            for schema in document["components"]["schemas"].values()
            for mark in schema["x-kubernetes-group-version-kind"]
        ]
        assert {"group": kind.group, "version": kind.version, "kind": kind.kind} in marks
        assert f"hash={hash_of(answer.content)}" in index[path]["serverRelativeURL"]
    assert (await client.get("/openapi/v3/apis/nothing.dev/v1")).status_code == 404


def hash_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest().upper()


async def test_openapi_lists_the_patches_and_parameters_of_a_kind(client: httpx.AsyncClient) -> None:
    serving = (await client.get("/openapi/v3/apis/serving.knative.dev/v1")).json()["paths"]
    patch = serving["/apis/serving.knative.dev/v1/namespaces/{namespace}/services/{name}"]["patch"]
    assert {"dryRun", "fieldValidation"} <= {parameter["name"] for parameter in patch["parameters"]}
    assert STRATEGIC not in patch["requestBody"]["content"]
    core = (await client.get("/openapi/v3/api/v1")).json()["paths"]
    assert STRATEGIC in core["/api/v1/namespaces/{namespace}/pods/{name}"]["patch"]["requestBody"]["content"]
    assert "/api/v1/namespaces/{name}" in core
