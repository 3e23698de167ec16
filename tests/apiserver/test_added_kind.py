# SPDX-License-Identifier: Apache-2.0
"""A kind that one `Resource` declares is served like the built-in ones, without a change to any other file."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from harness.apiserver import Served, cluster_of, served
from tidegate.client.informers import Informers
from tidegate.model.admission import Admission
from tidegate.model.causes import invalid
from tidegate.model.columns import NAME, READY, printed
from tidegate.model.config import Configs
from tidegate.model.errors import Cause
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import Kind
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Key, Object, key
from tidegate.model.resource import CacheOptions, Resource, kubernetes_rules
from tidegate.model.schemas import kubernetes, language

KIND = Kind("example.com", "v1", "Widget", "widgets", ("wd",), ("all",), selectable=("spec.color",))
TYPES = language.read(
    """
WidgetSpec: Desired state of a widget.
  color  string  The color; red by default.
  size   int32   The size in centimeters, 1 to 10.

WidgetStatus*: Observed state of a widget.
  conditions  [Condition]  Ready.
""",
    kubernetes.TYPES,
)


def fill(write: ObjectWrite) -> None:
    write.new["spec"].setdefault("color", "red")


def rules(write: ObjectWrite) -> Iterator[Cause]:
    if not 1 <= write.new["spec"].get("size", 1) <= 10:
        yield invalid(write.new["spec"]["size"], "spec.size", "must be between 1 and 10, inclusive")


SCHEME = BUILT_IN_SCHEME.extended(
    [
        Resource(
            KIND,
            language.kind("Widget", "A widget.", TYPES),
            defaults=fill,
            validate=kubernetes_rules(rules),
            columns=(NAME, printed("Color", "string", ".spec.color"), *READY),
            cache=CacheOptions(indexes={"color": lambda widget: [widget["spec"]["color"]]}),
        )
    ]
)
PATH = "/apis/example.com/v1/namespaces/default/widgets"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"


def widget(name: str = "a", **spec: object) -> Object:
    return {"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    admit = Admission(SCHEME, Configs).admit
    async with served(tmp_path, admit=admit, unknown_fields=SCHEME.unknown_fields, scheme=SCHEME) as server:
        yield server


@pytest.fixture
async def client(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client


async def test_discovery_lists_the_kind(client: httpx.AsyncClient) -> None:
    plain = (await client.get("/apis/example.com/v1")).json()["resources"]
    groups = (await client.get("/apis")).json()["groups"]

    assert [resource["name"] for resource in plain] == ["widgets", "widgets/status"]
    assert plain[0]["shortNames"] == ["wd"]
    assert "example.com" in [group["name"] for group in groups]


async def test_openapi_explains_the_fields(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi/v3/apis/example.com/v1")).json()
    schema = document["components"]["schemas"]["com.example.v1.Widget"]

    assert schema["description"] == "A widget."
    assert schema["properties"]["spec"]["properties"]["size"] == {
        "type": "integer",
        "format": "int32",
        "description": "The size in centimeters, 1 to 10.",
    }
    assert f"{PATH.replace('default', '{namespace}')}/{{name}}/status" in document["paths"]


async def test_an_object_gets_defaults_and_is_read_back(client: httpx.AsyncClient) -> None:
    created = await client.post(PATH, json=widget(size=3))
    read = (await client.get(f"{PATH}/a")).json()

    assert (created.status_code, read["spec"]) == (201, {"color": "red", "size": 3})


@pytest.mark.parametrize(
    ("spec", "code", "field"), [({"size": 11}, 422, "spec.size"), ({"size": "big"}, 400, "spec.size")]
)
async def test_a_wrong_field_is_rejected_by_its_name(
    client: httpx.AsyncClient, spec: Object, code: int, field: str
) -> None:
    answer = await client.post(PATH, json=widget(**spec))

    assert (answer.status_code, answer.json()["details"]["causes"][0]["field"]) == (code, field)


async def test_an_unknown_field_is_rejected_if_the_client_asks_for_that(client: httpx.AsyncClient) -> None:
    answer = await client.post(PATH, params={"fieldValidation": "Strict"}, json=widget(colour="blue"))

    assert 'unknown field "spec.colour"' in answer.json()["message"]


async def test_a_table_has_the_columns_of_the_kind(client: httpx.AsyncClient) -> None:
    await client.post(PATH, json=widget())
    table = (await client.get(PATH, headers={"accept": TABLE})).json()

    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Color", "Ready", "Reason"]
    assert table["rows"][0]["cells"] == ["a", "red", None, None]


async def test_a_field_selector_selects_by_the_fields_of_the_kind(client: httpx.AsyncClient) -> None:
    for name, color in (("a", "red"), ("b", "blue")):
        await client.post(PATH, json=widget(name, color=color))
    found = (await client.get(PATH, params={"fieldSelector": "spec.color=blue"})).json()["items"]

    assert [each["metadata"]["name"] for each in found] == ["b"]


async def test_the_status_is_written_apart_from_the_spec(client: httpx.AsyncClient) -> None:
    created = (await client.post(PATH, json=widget())).json()
    changed = {**created, "spec": {"color": "blue"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    stored = (await client.put(f"{PATH}/a/status", json=changed)).json()

    assert (stored["spec"], stored["status"]) == (created["spec"], changed["status"])


async def test_a_shared_informer_reads_the_kind_by_its_index(server: Served, client: httpx.AsyncClient) -> None:
    await client.post(PATH, json=widget())
    informer = Informers(cluster_of(server.api, "tests"), scheme=SCHEME).of(KIND)
    running = asyncio.create_task(informer.run())
    await informer.synced()

    assert [key(each) for each in informer.indexed("color", "red")] == [Key("default", "a")]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
