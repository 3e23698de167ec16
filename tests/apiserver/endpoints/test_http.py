# SPDX-License-Identifier: Apache-2.0
"""The API over a socket: paths, methods, bodies, errors."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.apiserver import Ended, Served, cluster_of, served
from tests.apiserver import make
from tidegate.kit.clock import settle
from tidegate.model import errors
from tidegate.model.admission import AdmissionRequest, Admitted
from tidegate.model.kinds import CONFIG_MAP, POD, Kind
from tidegate.model.logs import LogOptions
from tidegate.model.names import SERVICE
from tidegate.model.objects import Object

SERVICES = "/apis/serving.knative.dev/v1/namespaces/default/services"
PODS = "/api/v1/namespaces/default/pods"
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as server:
        yield server


@pytest.fixture
async def client(server: Served) -> AsyncIterator[httpx.AsyncClient]:
    async with server.client() as client:
        yield client


def refused(response: httpx.Response, code: int, reason: str) -> str:
    """The message of a Status with that code and reason."""
    status = response.json()
    assert (response.status_code, status["kind"], status["apiVersion"]) == (code, "Status", "v1"), response.text
    assert (status["status"], status["code"], status["reason"]) == ("Failure", code, reason)
    return str(status["message"])


async def test_an_object_is_created_read_replaced_patched_and_deleted(client: httpx.AsyncClient) -> None:
    created = await client.post(SERVICES, json=make.service())
    assert created.status_code == 201
    assert (await client.get(f"{SERVICES}/hello")).json() == created.json()

    replaced = await client.put(f"{SERVICES}/hello", json=make.service(image="two"))
    assert replaced.json()["metadata"]["generation"] == 2
    patched = await client.patch(f"{SERVICES}/hello", json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)
    assert patched.json()["metadata"]["labels"] == {"a": "b"}
    status = await client.patch(f"{SERVICES}/hello/status", json={"status": {"url": "x"}}, headers=MERGE)
    assert (await client.get(f"{SERVICES}/hello/status")).json() == status.json()
    assert status.json()["status"] == {"url": "x"}

    deleted = (await client.delete(f"{SERVICES}/hello")).json()
    assert (deleted["kind"], deleted["status"], deleted["details"]["kind"]) == ("Status", "Success", "services")
    assert deleted["details"]["uid"] == created.json()["metadata"]["uid"]
    assert refused(await client.get(f"{SERVICES}/hello"), 404, "NotFound")


async def test_a_request_without_the_token_gets_health_only(server: Served) -> None:
    trust = ssl.create_default_context(cadata=server.identity.authority)
    async with httpx.AsyncClient(base_url=server.url, verify=trust) as stranger:
        for path in ("/", "/api", SERVICES, "/openapi/v3", "/nowhere"):
            answer = await stranger.get(path, headers={"authorization": "Bearer wrong"})
            assert refused(answer, 401, "Unauthorized") == "Unauthorized"
            assert answer.headers["www-authenticate"] == "Bearer"
        assert refused(await stranger.post(SERVICES, json=make.service()), 401, "Unauthorized")
        for path in ("/healthz", "/livez", "/readyz"):
            assert (await stranger.get(path)).text == "ok"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
async def test_the_scheme_of_the_token_may_be_in_any_case(scheme: str, server: Served) -> None:
    async with server.client(authorization=f"{scheme} {server.identity.token}") as client:
        assert (await client.get("/api")).status_code == 200


@pytest.mark.parametrize("scheme", ["Basic", "bearerx"])
async def test_the_token_under_another_scheme_is_rejected(scheme: str, server: Served) -> None:
    async with server.client(authorization=f"{scheme} {server.identity.token}") as client:
        assert (await client.get("/api")).status_code == 401


async def test_the_warning_about_a_key_of_control_characters_is_one_line(client: httpx.AsyncClient) -> None:
    answer = await client.post(SERVICES, json={**make.service(), "a\0b\x1f\x7f": 1})

    assert answer.status_code == 201
    assert answer.headers.get_list("warning") == ['299 - "unknown field \\"a b \\""']


async def test_a_compressed_body_is_rejected(client: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = await client.post(CONFIG_MAPS, content=gzip.compress(b"{}"), headers=headers)
    assert "compressed (gzip)" in refused(answer, 415, "UnsupportedMediaType")


async def test_an_unknown_path_is_a_plain_404(client: httpx.AsyncClient) -> None:
    for path in ("/nowhere", "/api/v1/widgets", "/api/v2/pods", "/apis/x.dev/v1/things", f"{PODS}/a/eviction"):
        answer = await client.get(path)
        assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    assert (await client.get("/api/v1/namespaces/default/nodes")).status_code == 404
    assert (await client.get("/api/v1/pods/a")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", PODS),
        ("PATCH", PODS),
        ("POST", f"{PODS}/a"),
        ("POST", "/api/v1/pods"),
        ("DELETE", f"{SERVICES}/a/status"),
        ("OPTIONS", PODS),
        ("TRACE", f"{PODS}/a"),
    ],
)
async def test_a_method_that_a_path_does_not_support_is_rejected(
    method: str, path: str, client: httpx.AsyncClient
) -> None:
    message = refused(await client.request(method, path), 405, "MethodNotAllowed")
    assert message == "the server does not allow this method on the requested resource"


async def test_a_fault_of_the_server_is_answered_with_a_status(tmp_path: Path) -> None:
    def broken(kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> Admitted:
        if kind is CONFIG_MAP:
            raise ZeroDivisionError
        return Admitted(new)

    async with served(tmp_path, admit=broken) as server, server.client() as client:
        message = refused(await client.post(CONFIG_MAPS, json=make.config_map()), 500, "InternalError")
        assert message == "the server failed to answer: ZeroDivisionError"


# Bodies


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the body is not valid JSON: Input data was truncated"),
        (b"{", "not valid JSON"),
        (b'{"a": 1} x', "trailing characters"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"a": "\xff"}', "can't decode byte 0xff"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b"[" * 5000, "not valid JSON"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested more than 100 levels deep"),
        (b"[]", "a ConfigMap must be a JSON object"),
        (b"null", "a ConfigMap must be a JSON object"),
        (b"{}", "metadata: must be an object"),
        (b'{"metadata": []}', "metadata: must be an object"),
        (b'{"kind": "Pod", "metadata": {}}', "must be of type ConfigMap): v1, Kind=Pod"),
        (b'{"apiVersion": "v2", "kind": "ConfigMap", "metadata": {}}', "the object provided is unrecognized"),
    ],
)
async def test_a_malformed_body_is_a_bad_request(body: bytes, message: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(CONFIG_MAPS, content=body, headers={"content-type": "application/json"})
    assert message in refused(answer, 400, "BadRequest")


YAML = {"content-type": "application/yaml"}


async def test_yaml_is_read_as_json(client: httpx.AsyncClient) -> None:
    body = """
      metadata: {name: a, annotations: {date: "2026-01-01", merge: "<<"}}
      data:
        plain: x
        long: |
          two
          lines
    """
    stored = (await client.post(CONFIG_MAPS, content=body, headers=YAML)).json()
    assert stored["metadata"]["annotations"] == {"date": "2026-01-01", "merge": "<<"}
    assert stored["data"] == {"plain": "x", "long": "two\nlines\n"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("a: [", "the body is not valid YAML"),
        ("a: &x 1\nb: *x", "aliases are not accepted"),
        ("a: 1\na: 2", 'key "a" already set in map'),
        ("1: a", "keys must be strings"),
        ("? [a]\n: b", "keys must be strings"),
        ("a: !!python/object:os.system {}", "not valid YAML"),
        ("a: !!binary zz", "not valid YAML"),
        ("--- a\n--- b", "not valid YAML"),
        ("a: {" * 150 + "}" * 150, "nested"),
        ("\0", "not valid YAML"),
        ("", "must be a JSON object"),
    ],
)
async def test_the_error_about_malformed_yaml_is_one_line(body: str, message: str, client: httpx.AsyncClient) -> None:
    message = refused(await client.post(CONFIG_MAPS, content=body, headers=YAML), 400, "BadRequest")
    assert message in message
    assert "\n" not in message


@pytest.mark.parametrize("media_type", ["text/plain", "application/cbor", "x"])
async def test_a_body_in_another_format_is_rejected(media_type: str, client: httpx.AsyncClient) -> None:
    answer = await client.post(CONFIG_MAPS, content=b"{}", headers={"content-type": media_type})
    assert "accepted media types include: application/json, application/yaml" in refused(
        answer, 415, "UnsupportedMediaType"
    )


async def test_an_oversized_body_is_rejected_with_and_without_a_length(client: httpx.AsyncClient) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(4):
            yield b"x" * 2**20

    headers = {"content-type": "application/json"}
    for content in (b"x" * (3 * 2**20 + 1), chunks()):
        answer = await client.post(CONFIG_MAPS, content=content, headers=headers)
        assert "limit is 3145728" in refused(answer, 413, "RequestEntityTooLarge")
    assert (await client.get(CONFIG_MAPS)).json()["items"] == []


async def test_a_client_that_accepts_other_formats_only_gets_406(client: httpx.AsyncClient) -> None:
    answer = await client.get(CONFIG_MAPS, headers={"accept": "application/xml"})
    assert refused(answer, 406, "NotAcceptable")
    only_protobuf_first = {"accept": "application/vnd.kubernetes.protobuf,application/json"}
    assert (await client.get(CONFIG_MAPS, headers=only_protobuf_first)).status_code == 200


# Patches


async def test_core_kinds_accept_three_types_of_patch_and_custom_resources_two(client: httpx.AsyncClient) -> None:
    await client.post(PODS, json=make.pod())
    await client.post(SERVICES, json=make.service())
    strategic = {"content-type": "application/strategic-merge-patch+json"}
    json_patch = {"content-type": "application/json-patch+json"}
    adding = [{"op": "add", "path": "/metadata/labels", "value": {"a": "b"}}]

    pod = await client.patch(
        f"{PODS}/a", json={"spec": {"containers": [{"name": "side", "image": "y"}]}}, headers=strategic
    )
    assert [container["name"] for container in pod.json()["spec"]["containers"]] == ["main", "side"]
    for path in (f"{PODS}/a", f"{SERVICES}/hello"):
        assert (await client.patch(path, json=adding, headers=json_patch)).json()["metadata"]["labels"] == {"a": "b"}
        assert (await client.patch(path, json={"metadata": {"labels": None}}, headers=MERGE)).status_code == 200
    response = await client.patch(f"{SERVICES}/hello", json={}, headers=strategic)
    rejection = refused(response, 415, "UnsupportedMediaType")
    assert "accepted media types include: application/json-patch+json, application/merge-patch+json" in rejection


async def test_a_patch_of_a_missing_object_is_not_found_and_an_invalid_one_changes_nothing(
    client: httpx.AsyncClient,
) -> None:
    assert refused(await client.patch(f"{PODS}/a", json={}, headers=MERGE), 404, "NotFound")
    stored = (await client.post(PODS, json=make.pod())).json()
    patches: list[Any] = [{"metadata": None}, {"metadata": {"labels": []}}, {"kind": "X"}, {"metadata": {"name": "b"}}]
    for patch in patches:
        assert refused(await client.patch(f"{PODS}/a", json=patch, headers=MERGE), 400, "BadRequest")
    assert refused(await client.patch(f"{PODS}/a", content=b"{", headers=MERGE), 400, "BadRequest")
    stale = {"metadata": {"resourceVersion": "1"}}
    assert refused(await client.patch(f"{PODS}/a", json=stale, headers=MERGE), 409, "Conflict")
    assert (await client.get(f"{PODS}/a")).json() == stored


# What the query asks


@pytest.mark.parametrize(
    ("query", "code", "reason", "field"),
    [
        ("dryRun=Some", 422, "Invalid", "dryRun"),
        ("fieldValidation=Maybe", 422, "Invalid", "fieldValidation"),
    ],
)
async def test_an_invalid_parameter_is_rejected_with_its_name(
    query: str, code: int, reason: str, field: str, client: httpx.AsyncClient
) -> None:
    answer = await client.post(f"{CONFIG_MAPS}?{query}", json=make.config_map())
    assert "Unsupported value" in refused(answer, code, reason)
    assert answer.json()["details"]["causes"][0]["field"] == field


async def test_a_dry_run_answers_without_a_change(client: httpx.AsyncClient) -> None:
    made = await client.post(f"{SERVICES}?dryRun=All", json=make.service())
    assert made.status_code == 201
    assert made.json()["metadata"]["uid"]
    assert (await client.get(f"{SERVICES}/hello")).status_code == 404
    await client.post(SERVICES, json=make.service())
    await client.delete(f"{SERVICES}/hello?dryRun=All")
    await client.request("DELETE", f"{SERVICES}/hello", json={"dryRun": ["All"]})
    assert (await client.get(f"{SERVICES}/hello")).status_code == 200


async def test_unknown_and_duplicate_fields_cause_warnings_or_errors_or_nothing(client: httpx.AsyncClient) -> None:
    odd = b'{"metadata": {"name": "x", "name": "hello"}, "spec": {}, "odd": 1}'
    headers = {"content-type": "application/json"}

    warned = await client.post(f"{SERVICES}?dryRun=All", content=odd, headers=headers)
    assert warned.headers.get_list("warning") == [
        '299 - "unknown field \\"odd\\""',
        '299 - "duplicate field \\"metadata.name\\""',
    ]
    strict = await client.post(f"{SERVICES}?fieldValidation=Strict", content=odd, headers=headers)
    assert refused(strict, 400, "BadRequest") == (
        'Service in version "v1" cannot be handled as a Service: strict decoding error: unknown field "odd", '
        'duplicate field "metadata.name"'
    )
    ignored = await client.post(f"{SERVICES}?fieldValidation=Ignore", content=odd, headers=headers)
    assert ignored.status_code == 201
    assert "warning" not in ignored.headers


async def test_a_patch_gets_no_warning_for_unknown_fields_of_the_old_object(client: httpx.AsyncClient) -> None:
    await client.post(f"{SERVICES}?fieldValidation=Ignore", json={**make.service(), "odd": 1})
    url = f"{SERVICES}/hello?fieldValidation=Strict"

    assert (await client.patch(url, json={"metadata": {"labels": {"a": "b"}}}, headers=MERGE)).status_code == 200
    assert "strange" in refused(await client.patch(url, json={"strange": 1}, headers=MERGE), 400, "BadRequest")


async def test_warnings_of_admission_are_headers_of_one_line(client: httpx.AsyncClient) -> None:
    warned = make.service(annotations={"warn": 'careful,\n"friend" \\ ' + "x" * 300})
    (warning,) = (await client.post(SERVICES, json=warned)).headers.get_list("warning")
    assert warning.startswith('299 - "careful, \\"friend\\" \\\\ xxx')
    assert len(warning) < 2200


async def test_a_deletion_takes_its_options_from_the_body_or_the_query(client: httpx.AsyncClient) -> None:
    await client.post(PODS, json=make.pod(node="here"))
    marked = (await client.delete(f"{PODS}/a?gracePeriodSeconds=7")).json()
    assert (marked["kind"], marked["metadata"]["deletionGracePeriodSeconds"]) == ("Pod", 7)
    wrong = {"preconditions": {"uid": "another"}}
    assert refused(await client.request("DELETE", f"{PODS}/a", json=wrong), 409, "Conflict")
    bodies: list[Any] = [
        {"preconditions": []},
        {"preconditions": {"uid": 7}},
        {"propagationPolicy": ["Orphan"]},
        {"gracePeriodSeconds": "soon"},
        {"gracePeriodSeconds": -1},
        {"dryRun": "All"},
        [],
    ]
    for body in bodies:
        assert refused(await client.request("DELETE", f"{PODS}/a", json=body), 400, "BadRequest")
    odd = {"propagationPolicy": "Upwards"}
    assert refused(await client.request("DELETE", f"{PODS}/a", json=odd), 422, "Invalid")
    now = {"gracePeriodSeconds": 0, "kind": "DeleteOptions", "apiVersion": "v1"}
    assert (await client.request("DELETE", f"{PODS}/a", json=now)).json()["status"] == "Success"


async def test_a_collection_is_deleted_by_selector(client: httpx.AsyncClient) -> None:
    for name, app in (("a", "x"), ("b", "y"), ("c", "x")):
        await client.post(CONFIG_MAPS, json=make.config_map(name, labels={"app": app}))
    deleted = (await client.delete(f"{CONFIG_MAPS}?labelSelector=app%3Dx")).json()
    assert [item["metadata"]["name"] for item in deleted["items"]] == ["a", "c"]
    assert deleted["kind"] == "ConfigMapList"
    assert [item["metadata"]["name"] for item in (await client.get(CONFIG_MAPS)).json()["items"]] == ["b"]


# Logs


async def test_the_options_of_a_log_are_passed_on(tmp_path: Path) -> None:
    asked: list[tuple[str, LogOptions]] = []

    async def logs(pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        asked.append((container, options))
        yield b"one\n"
        yield b"two\n"

    async with served(tmp_path, pod_logs=logs) as server, server.client() as client:
        await client.post(PODS, json=make.pod())
        answer = await client.get(
            f"{PODS}/a/log?tailLines=5&timestamps=true&limitBytes=100&sinceTime=2026-01-01T00:00:00Z"
        )
        assert (answer.text, answer.headers["content-type"]) == ("one\ntwo\n", "text/plain")
        ((container, options),) = asked
        assert (container, options.tail_lines, options.timestamps, options.limit_bytes) == ("main", 5, True, 100)
        assert options.since is not None and options.since.year == 2026
        assert (await client.get(f"{PODS}/a/log?sinceSeconds=999999999999999")).status_code == 200
        for query in (
            "container=other",
            "tailLines=-1",
            "sinceTime=yesterday",
            "follow=perhaps",
            f"limitBytes={'9' * 50}",
        ):
            assert refused(await client.get(f"{PODS}/a/log?{query}"), 400, "BadRequest")
        assert refused(await client.get(f"{PODS}/b/log"), 404, "NotFound")
        assert refused(await client.post(f"{PODS}/a/log"), 405, "MethodNotAllowed")


async def test_a_log_is_followed_until_the_client_disconnects(tmp_path: Path) -> None:
    more, ended = asyncio.Event(), asyncio.Event()

    async def logs(pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        try:
            yield b"one\n"
            await more.wait()
            yield b"two\n"
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with served(tmp_path, pod_logs=logs) as server, server.client() as client:
        await client.post(PODS, json=make.pod())
        async with client.stream("GET", f"{PODS}/a/log?follow=true") as answer:
            lines = answer.aiter_lines()
            assert await anext(lines) == "one"
            more.set()
            assert await anext(lines) == "two"
            assert not ended.is_set()
        await asyncio.wait_for(ended.wait(), 10)


async def test_a_missing_log_is_answered_with_a_status(tmp_path: Path) -> None:
    async def logs(pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
        if pod:
            raise errors.BadRequest("previous terminated container not found")
        yield b""

    async with served(tmp_path, pod_logs=logs) as server, server.client() as client:
        await client.post(PODS, json=make.pod())
        assert "previous" in refused(await client.get(f"{PODS}/a/log?previous=true"), 400, "BadRequest")


def ended(name: str, created: str = "2999-01-01T00:00:00Z") -> Object:
    """A removed Pod of the service "hello"."""
    metadata = {"name": name, "namespace": "default", "creationTimestamp": created, "labels": {SERVICE: "hello"}}
    return {"metadata": metadata, "spec": {"containers": [{"name": "main"}]}}


async def test_the_log_of_an_ended_instance_is_read_by_its_name(tmp_path: Path) -> None:
    async with served(tmp_path, ended=Ended(ended("a"))) as server, server.client() as client:
        assert (await client.get(f"{PODS}/a/log?tailLines=3")).text == "a main tail=3\n"
        assert refused(await client.get(f"{PODS}/b/log"), 404, "NotFound")
        assert refused(await client.get("/api/v1/namespaces/other/pods/a/log"), 404, "NotFound")


async def test_the_ended_instances_of_a_service_are_listed_in_its_namespace_only(tmp_path: Path) -> None:
    """The service itself may be deleted."""
    services = "/apis/serving.knative.dev/v1/namespaces/{}/services/{}/ended"
    async with served(tmp_path, ended=Ended(ended("a"), ended("b"))) as server, server.client() as client:
        found = (await client.get(services.format("default", "hello"))).json()
        assert [pod["metadata"]["name"] for pod in found["items"]] == ["a", "b"]
        assert found["kind"] == "PodList"
        for namespace, name in (("default", "other"), ("knative-serving", "hello")):
            assert (await client.get(services.format(namespace, name))).json()["items"] == []
        assert refused(await client.post(services.format("default", "hello")), 405, "MethodNotAllowed")


async def test_logs_of_an_earlier_namespace_of_the_same_name_are_not_shown(tmp_path: Path) -> None:
    before = ended("a", created="2000-01-01T00:00:00Z")
    async with served(tmp_path, ended=Ended(before)) as server, server.client() as client:
        assert refused(await client.get(f"{PODS}/a/log"), 404, "NotFound")
        found = await client.get("/apis/serving.knative.dev/v1/namespaces/default/services/hello/ended")
        assert found.json()["items"] == []


# About the client and the server


async def test_the_server_reports_its_version(client: httpx.AsyncClient) -> None:
    version = (await client.get("/version")).json()
    assert (version["major"], version["minor"]) == ("1", "32")
    assert version["gitVersion"].startswith("v1.32.")


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [
        ("authorization.k8s.io/v1/selfsubjectaccessreviews", "allowed", True),
        ("authorization.k8s.io/v1/selfsubjectrulesreviews", "incomplete", False),
        ("authentication.k8s.io/v1/selfsubjectreviews", "userInfo", {
            "username": "tidegate-admin", "groups": ["system:masters", "system:authenticated"]
        }),
    ],
)  # fmt: skip
async def test_reviews_of_the_own_user_are_answered(
    path: str, field: str, value: Any, client: httpx.AsyncClient
) -> None:
    answer = await client.post(f"/apis/{path}", json={"spec": {}})
    assert answer.status_code == 201
    assert answer.json()["status"][field] == value
    assert refused(await client.post(f"/apis/{path}", json=[]), 400, "BadRequest")


async def test_the_user_of_a_write_is_the_user_of_the_token(tmp_path: Path) -> None:
    users: list[str] = []

    def noting(kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> Admitted:
        users.append(request.user)
        return Admitted(new)

    async with served(tmp_path, admit=noting) as server, server.client() as client:
        await client.post(CONFIG_MAPS, json=make.config_map())
        assert users[-1] == "tidegate-admin"
        await cluster_of(server.api, "somebody").create(POD, make.pod())
        assert users[-1] == "somebody"


async def test_an_abandoned_request_is_completed_or_never_begun(server: Served) -> None:
    async with server.client() as client:
        asking = [asyncio.create_task(client.post(CONFIG_MAPS, json=make.config_map(f"m{n}"))) for n in range(20)]
        await settle(20)
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    async with server.client() as client:
        await client.post(CONFIG_MAPS, json=make.config_map("after"))
        assert "after" in {item["metadata"]["name"] for item in (await client.get(CONFIG_MAPS)).json()["items"]}
