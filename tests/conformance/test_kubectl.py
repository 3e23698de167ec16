# SPDX-License-Identifier: Apache-2.0
"""A real kubectl with the served API and the real admission: the everyday commands of its users.

All tests share kubectl's cache of discovery, as on a user's machine: the server's documents do not change.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.apiserver import Served, cluster_of, served
from tests.apiserver import make
from tidegate.client.events import Recorder
from tidegate.kit.clock import RealClock
from tidegate.model.admission import Admission, AdmissionRequest, Admitted
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.kinds import CONFIG_MAP, POD, RESOURCE_QUOTA, REVISION, SERVICE, Kind
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object

pytestmark = pytest.mark.needs("kubectl")

CONFIGS = Configs()
HELLO = Key("default", "hello")
QUOTA = Key("default", "q")
SERVICE_YAML = """
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: hello
spec:
  template:
    spec:
      containers:
        - image: tidegate.dev/host
          command: [serve]
          env: [{name: A, value: "1"}, {name: B, value: "2"}]
"""


def admit(kind: Kind, new: Object, old: Object | None, request: AdmissionRequest) -> Admitted:
    return Admission(BUILT_IN_SCHEME, lambda: CONFIGS).admit(kind, new, old, request)


async def pod_logs(pod: Object, container: str, options: LogOptions) -> AsyncIterator[bytes]:
    lines = [f"{container} line {n}\n".encode() for n in range(5)]
    for line in lines[-options.tail_lines :] if options.tail_lines is not None else lines:
        yield line


@dataclass(frozen=True, slots=True)
class Ended:
    """Output and exit code of a run of kubectl."""

    code: int
    out: str
    errors: str

    @property
    def lines(self) -> list[list[str]]:
        """The words of each line."""
        return [line.split() for line in self.out.splitlines()]


@dataclass(frozen=True, slots=True)
class Kubectl:
    """kubectl with the kubeconfig of a running server."""

    server: Served
    cache: Path
    environment: dict[str, str] = field(default_factory=dict)

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            "kubectl",
            f"--cache-dir={self.cache}",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": str(self.server.kubeconfig), **environment},
        )

    async def run(self, *arguments: str, stdin: str = "", **environment: str) -> Ended:
        process = await self.start(*arguments, **environment)
        out, err = await asyncio.wait_for(process.communicate(stdin.encode()), 30)
        return Ended(process.returncode or 0, out.decode(), err.decode())

    async def __call__(self, *arguments: str, stdin: str = "", **environment: str) -> str:
        """The output of a kubectl that must succeed."""
        ended = await self.run(*arguments, stdin=stdin, **environment)
        assert ended.code == 0, ended.errors
        return ended.out

    @asynccontextmanager
    async def running(self, *arguments: str) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of a kubectl that runs until the block ends."""
        process = await self.start(*arguments)
        assert process.stdout is not None
        stdout = process.stdout

        async def lines() -> AsyncIterator[str]:
            while line := await asyncio.wait_for(stdout.readline(), 20):
                yield line.decode().rstrip("\n")

        try:
            yield lines()
        finally:
            process.kill()
            await process.communicate()


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kubectl")


@pytest.fixture
async def kubectl(tmp_path: Path, cache: Path) -> AsyncIterator[Kubectl]:
    async with served(
        tmp_path, admit=admit, unknown_fields=BUILT_IN_SCHEME.unknown_fields, pod_logs=pod_logs
    ) as server:
        yield Kubectl(server, cache)


async def mark_ready(kubectl: Kubectl, status: str = "True") -> None:
    conditions = [{"type": "Ready", "status": status, "lastTransitionTime": "2026-01-01T00:00:00Z"}]
    new = {"conditions": conditions, "url": "http://hello.default.localhost", "observedGeneration": 1}
    cluster = cluster_of(kubectl.server.api, "controller")
    await cluster.patch(SERVICE, HELLO, {"status": new}, subresource="status")


def pod_of_today(**more: Any) -> Object:
    pod = make.pod("hello-pod", **more)
    pod["spec"]["containers"] = [{"name": "user-container", "image": "tidegate.dev/host"}]
    return pod


# apply


async def test_apply_creates_then_changes_then_reports_unchanged_through_kubectl(kubectl: Kubectl) -> None:
    config_map = yaml.safe_dump(make.config_map("c", data={"a": "1"}))
    assert await kubectl("apply", "-f", "-", stdin=config_map) == "configmap/c created\n"
    changed = config_map.replace("'1'", "'2'")
    assert await kubectl("apply", "-f", "-", stdin=changed) == "configmap/c configured\n"
    assert await kubectl("apply", "-f", "-", stdin=changed) == "configmap/c unchanged\n"


async def test_apply_takes_a_list_and_validates_its_items(kubectl: Kubectl) -> None:
    listed = {"apiVersion": "v1", "kind": "List", "items": [make.config_map("a"), make.config_map("b")]}
    created = await kubectl("apply", "-f", "-", stdin=yaml.safe_dump(listed))
    assert created == "configmap/a created\nconfigmap/b created\n"

    service = yaml.safe_load(SERVICE_YAML)
    service["spec"]["unheard"] = 1
    ended = await kubectl.run("apply", "-f", "-", stdin=yaml.safe_dump({**listed, "items": [service]}))
    assert 'unknown field "spec.unheard"' in ended.errors


async def test_a_repeated_apply_of_a_service_makes_no_new_generation(kubectl: Kubectl) -> None:
    """kubectl says "configured", as with Knative: it does not know that the defaults in a list are defaults."""
    created = await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    assert created == "service.serving.knative.dev/hello created\n"
    changed = SERVICE_YAML.replace('"2"', '"3"')
    await kubectl("apply", "-f", "-", stdin=changed)
    stored = kubectl.server.api.get(SERVICE, HELLO)
    await kubectl("apply", "-f", "-", stdin=changed)
    assert kubectl.server.api.get(SERVICE, HELLO) is stored
    assert stored["metadata"]["generation"] == 2
    assert stored["metadata"]["annotations"]["serving.knative.dev/creator"] == "tidegate-admin"


async def test_apply_merges_three_ways(kubectl: Kubectl) -> None:
    first, second = yaml.safe_load(SERVICE_YAML), yaml.safe_load(SERVICE_YAML)
    first["metadata"]["labels"] = {"a": "goes", "b": "stays"}
    first["spec"]["template"]["spec"]["timeoutSeconds"] = 60
    second["metadata"]["labels"] = {"b": "changed"}
    await kubectl("apply", "-f", "-", stdin=yaml.safe_dump(first))
    await kubectl("label", "ksvc", "hello", "mine=kept")
    await kubectl("apply", "-f", "-", stdin=yaml.safe_dump(second))
    stored = kubectl.server.api.get(SERVICE, HELLO)
    assert stored["metadata"]["labels"] == {"b": "changed", "mine": "kept"}
    assert stored["spec"]["template"]["spec"]["timeoutSeconds"] == 300


async def test_apply_merges_core_kinds_by_their_keys(kubectl: Kubectl) -> None:
    pod = pod_of_today(finalizers=["tidegate.dev/goes", "tidegate.dev/kept"])
    await kubectl("apply", "-f", "-", stdin=yaml.safe_dump(pod))
    cluster = cluster_of(kubectl.server.api, "somebody")
    more = {"metadata": {"finalizers": ["tidegate.dev/goes", "tidegate.dev/kept", "tidegate.dev/other"]}}
    await cluster.patch(POD, Key("default", "hello-pod"), more)
    labelled = pod_of_today(labels={"a": "b"}, finalizers=["tidegate.dev/kept"])
    assert "configured" in await kubectl("apply", "-f", "-", stdin=yaml.safe_dump(labelled))
    stored = kubectl.server.api.get(POD, Key("default", "hello-pod"))
    assert stored["metadata"]["finalizers"] == ["tidegate.dev/kept", "tidegate.dev/other"]
    assert stored["metadata"]["labels"] == {"a": "b"}


async def test_a_dry_run_of_apply_and_a_diff_show_the_changes(kubectl: Kubectl) -> None:
    assert "created (server dry run)" in await kubectl("apply", "--dry-run=server", "-f", "-", stdin=SERVICE_YAML)
    assert not make.exists(kubectl.server.api, SERVICE, "hello")
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    same = await kubectl.run("diff", "-f", "-", stdin=SERVICE_YAML)
    assert (same.code, same.out) == (0, "")
    diff = await kubectl.run("diff", "-f", "-", stdin=SERVICE_YAML.replace('"2"', '"3"'))
    assert diff.code == 1
    assert '+          value: "3"' in diff.out


async def test_invalid_objects_are_reported_and_nothing_changes(kubectl: Kubectl) -> None:
    unknown = await kubectl.run("apply", "-f", "-", stdin=SERVICE_YAML.replace("command:", "comand:"))
    assert unknown.code == 1
    assert 'unknown field "spec.template.spec.containers[0].comand"' in unknown.errors
    missing = await kubectl.run("apply", "-f", "-", stdin=SERVICE_YAML.replace("image: tidegate.dev/host", "name: x"))
    assert missing.code == 1
    assert "missing field(s): spec.template.spec.containers[0].image" in missing.errors
    assert not make.exists(kubectl.server.api, SERVICE, "hello")


# get


async def test_get_shows_tables_yaml_and_names(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    await mark_ready(kubectl)
    header, row = (await kubectl.run("get", "ksvc")).lines
    assert header == ["NAME", "URL", "LATESTCREATED", "LATESTREADY", "READY", "REASON"]
    assert row == ["hello", "http://hello.default.localhost", "True"]
    assert yaml.safe_load(await kubectl("get", "ksvc", "hello", "-o", "yaml")) == kubectl.server.api.get(SERVICE, HELLO)
    assert await kubectl("get", "kservice", "-A", "-o", "name") == "service.serving.knative.dev/hello\n"
    assert await kubectl("get", "ksvc", "hello", "-o", "jsonpath={.status.url}") == "http://hello.default.localhost"
    assert (await kubectl.run("get", "services.serving.knative.dev", "-o", "wide")).lines[1] == row


async def test_get_selects_by_labels_and_fields(kubectl: Kubectl) -> None:
    api = kubectl.server.api
    await make.given(api, POD, pod_of_today(labels={"app": "x"}))
    await make.given(api, CONFIG_MAP, make.config_map("other", labels={"app": "y"}))
    assert await kubectl("get", "pods,cm", "-l", "app=x", "-o", "name") == "pod/hello-pod\n"
    assert await kubectl("get", "po", "--field-selector", "status.phase=Pending", "-o", "name") == "pod/hello-pod\n"
    nothing = await kubectl.run("get", "po", "-l", "app notin (x)")
    assert "No resources found in default namespace." in nothing.errors
    refused = await kubectl.run("get", "po", "--field-selector", "spec.odd=1")
    assert "field label not supported: spec.odd" in refused.errors


async def test_a_long_get_is_paged_and_get_all_finds_the_category(kubectl: Kubectl) -> None:
    api = kubectl.server.api
    await asyncio.gather(*(make.given(api, CONFIG_MAP, make.config_map(f"m{n:03}")) for n in range(120)))
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    await make.given(api, POD, pod_of_today())
    assert len((await kubectl.run("get", "cm", "--chunk-size=25", "-o", "name")).lines) == 120
    everything = await kubectl("get", "all", "-o", "name")
    assert everything.splitlines() == ["pod/hello-pod", "service.serving.knative.dev/hello"]


async def test_get_watches_changes(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    async with kubectl.running("get", "ksvc", "hello", "-w") as lines:
        assert (await anext(lines)).split()[0] == "NAME"
        assert (await anext(lines)).split() == ["hello"]
        await mark_ready(kubectl)
        assert (await anext(lines)).split() == ["hello", "http://hello.default.localhost", "True"]
    async with kubectl.running("get", "ksvc", "--watch-only", "-o", "name") as lines:
        process = asyncio.ensure_future(anext(lines))
        while not process.done():
            await kubectl("annotate", "ksvc", "hello", "--overwrite", f"a={os.urandom(4).hex()}")
        assert await process == "service.serving.knative.dev/hello"


async def test_missing_objects_are_reported_as_not_found(kubectl: Kubectl) -> None:
    missing = await kubectl.run("get", "ksvc", "nobody")
    assert missing.errors == 'Error from server (NotFound): services.serving.knative.dev "nobody" not found\n'
    unknown = await kubectl.run("get", "widgets")
    assert 'the server doesn\'t have a resource type "widgets"' in unknown.errors


async def test_describe_shows_the_object_and_its_events(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    recorder = Recorder(cluster_of(kubectl.server.api, "controller"), "service-controller", RealClock())
    recording = asyncio.create_task(recorder.run())
    recorder.warning(kubectl.server.api.get(SERVICE, HELLO), "RevisionFailed", "it did not start")
    events = kubectl.server.api
    await make.eventually(lambda: bool(events.store.page("events").items))
    recording.cancel()
    await asyncio.gather(recording, return_exceptions=True)

    described = await kubectl("describe", "ksvc", "hello")
    assert "Name:         hello" in described
    assert "API Version:  serving.knative.dev/v1" in described
    assert "RevisionFailed" in described
    assert "it did not start" in described
    assert "it did not start" in await kubectl("get", "events")
    assert "it did not start" in await kubectl("events", "--for", "service.serving.knative.dev/hello")
    assert "it did not start" in await kubectl("events", "--types=Warning")


async def test_describe_shows_a_pod_a_node_and_a_namespace(kubectl: Kubectl) -> None:
    await make.given(kubectl.server.api, POD, pod_of_today())
    described = await kubectl("describe", "pod", "hello-pod")
    assert "user-container:" in described
    assert "Status:           Pending" in described or "Status:" in described
    assert "Status:       Active" in await kubectl("describe", "ns", "default")


# change


async def test_edit_opens_an_editor_and_stores_the_result(kubectl: Kubectl, tmp_path: Path) -> None:
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    await make.given(kubectl.server.api, CONFIG_MAP, make.config_map(data={"x": "1"}))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i -e \'s/value: "2"/value: "9"/\' -e \'s/x: "1"/x: "9"/\' "$1"\n')
    editor.chmod(0o700)
    assert "hello edited" in await kubectl("edit", "ksvc", "hello", EDITOR=str(editor))
    assert "a edited" in await kubectl("edit", "cm", "a", EDITOR=str(editor))
    container = kubectl.server.api.get(SERVICE, HELLO)["spec"]["template"]["spec"]["containers"][0]
    assert container["env"][1] == {"name": "B", "value": "9"}
    assert kubectl.server.api.get(CONFIG_MAP, Key("default", "a"))["data"] == {"x": "9"}


async def test_patch_takes_all_its_types(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    await make.given(kubectl.server.api, CONFIG_MAP, make.config_map())
    await kubectl("patch", "ksvc", "hello", "--type=merge", "-p", '{"metadata":{"labels":{"a":"1"}}}')
    add = '[{"op":"add","path":"/metadata/labels/b","value":"2"}]'
    await kubectl("patch", "ksvc", "hello", "--type=json", "-p", add)
    assert kubectl.server.api.get(SERVICE, HELLO)["metadata"]["labels"] == {"a": "1", "b": "2"}
    await kubectl("patch", "cm", "a", "-p", '{"data":{"x":"1"}}')
    assert kubectl.server.api.get(CONFIG_MAP, Key("default", "a"))["data"] == {"x": "1"}
    refused = await kubectl.run("patch", "ksvc", "hello", "--type=strategic", "-p", "{}")
    assert refused.code == 1
    status = '{"status":{"url":"http://patched"}}'
    await kubectl("patch", "ksvc", "hello", "--subresource=status", "--type=merge", "-p", status)
    assert kubectl.server.api.get(SERVICE, HELLO)["status"]["url"] == "http://patched"


async def test_labels_and_annotations_are_set_and_removed(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    await kubectl("label", "ksvc", "hello", "team=a")
    refused = await kubectl.run("label", "ksvc", "hello", "team=b")
    assert "--overwrite is false" in refused.errors
    await kubectl("label", "ksvc", "hello", "--overwrite", "team=b")
    assert await kubectl("get", "ksvc", "-l", "team=b", "-o", "name")
    await kubectl("label", "ksvc", "hello", "team-")
    await kubectl("annotate", "ksvc", "hello", "why=because")
    metadata = kubectl.server.api.get(SERVICE, HELLO)["metadata"]
    assert not metadata.get("labels")
    assert metadata["annotations"]["why"] == "because"
    wrong = await kubectl.run("label", "ksvc", "hello", "a=" + "x" * 70)
    assert "must be no more than 63 characters" in wrong.errors


async def test_create_and_replace(kubectl: Kubectl) -> None:
    assert "created" in await kubectl("create", "-f", "-", stdin=SERVICE_YAML)
    again = await kubectl.run("create", "-f", "-", stdin=SERVICE_YAML)
    assert 'Error from server (AlreadyExists): error when creating "STDIN"' in again.errors
    current = await kubectl("get", "ksvc", "hello", "-o", "yaml")
    assert "replaced" in await kubectl("replace", "-f", "-", stdin=current.replace('"2"', '"3"'))
    assert "replaced" in await kubectl("replace", "--force", "-f", "-", stdin=SERVICE_YAML)
    assert "namespace/team created" in await kubectl("create", "namespace", "team")
    await kubectl("create", "configmap", "c", "--from-literal=a=b", "-n", "team")
    await kubectl("create", "secret", "generic", "s", "--from-literal=password=x", "-n", "team")
    secret = yaml.safe_load(await kubectl("get", "secret", "s", "-n", "team", "-o", "yaml"))
    assert (secret["data"], secret["type"]) == ({"password": "eA=="}, "Opaque")


async def test_delete_waits_until_the_object_is_deleted(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    held = {"metadata": {"finalizers": ["tidegate.dev/x"]}}
    cluster = cluster_of(kubectl.server.api, "controller")
    await cluster.patch(SERVICE, HELLO, held)
    deleting = asyncio.create_task(kubectl.run("delete", "ksvc", "hello"))
    await make.eventually(lambda: "deletionTimestamp" in kubectl.server.api.get(SERVICE, HELLO)["metadata"])
    assert not deleting.done()
    await cluster.patch(SERVICE, HELLO, {"metadata": {"finalizers": None}})
    ended = await deleting
    assert (ended.code, ended.out) == (0, 'service.serving.knative.dev "hello" deleted\n')
    await kubectl("create", "ns", "team")
    await kubectl("create", "cm", "x", "-n", "team")
    assert 'namespace "team" deleted' in await kubectl("delete", "ns", "team")


async def test_delete_cascades_by_its_policy(kubectl: Kubectl) -> None:
    api = kubectl.server.api
    for name, cascade in (("one", "background"), ("two", "foreground"), ("three", "orphan")):
        owner = await make.given(api, CONFIG_MAP, make.config_map(name))
        references = [make.owned_by(owner, blocks=True)]
        await make.given(api, CONFIG_MAP, make.config_map(f"{name}-child", ownerReferences=references))
        await kubectl("delete", "cm", name, f"--cascade={cascade}")
    await make.eventually(lambda: not make.exists(api, CONFIG_MAP, "one-child"))
    assert not make.exists(api, CONFIG_MAP, "two-child")
    assert make.exists(api, CONFIG_MAP, "three-child")
    await kubectl("delete", "cm", "--all")
    assert api.list(CONFIG_MAP, "default").items == []


async def test_wait_returns_when_the_condition_holds(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", "-", stdin=SERVICE_YAML)
    waiting = asyncio.create_task(kubectl.run("wait", "--for=condition=Ready", "ksvc/hello", "--timeout=20s"))
    await mark_ready(kubectl, "Unknown")
    await mark_ready(kubectl)
    ended = await waiting
    assert (ended.code, ended.out) == (0, "service.serving.knative.dev/hello condition met\n")
    value = await kubectl("wait", "--for=jsonpath={.status.url}=http://hello.default.localhost", "ksvc/hello")
    assert "condition met" in value
    going = asyncio.create_task(kubectl.run("wait", "--for=delete", "ksvc/hello", "--timeout=20s"))
    await kubectl("delete", "ksvc", "hello")
    assert (await going).code == 0


# look


async def test_explain_api_resources_and_versions(kubectl: Kubectl) -> None:
    explained = await kubectl("explain", "ksvc.spec.template.spec.containerConcurrency")
    assert "GROUP:      serving.knative.dev" in explained
    assert "containerConcurrency <integer>" in explained
    assert "FIELD: containers" in await kubectl("explain", "pod.spec.containers")
    resources = (await kubectl.run("api-resources", "--api-group=serving.knative.dev")).lines
    assert [line[0] for line in resources] == ["NAME", "configurations", "revisions", "routes", "services"]
    assert "serving.knative.dev/v1" in (await kubectl("api-versions")).splitlines()
    version = await kubectl.run("version")
    assert "Server Version: v1.32.0+tidegate" in version.out
    assert "WARNING" not in version.errors


async def test_auth_reports_the_user_and_that_everything_is_allowed(kubectl: Kubectl) -> None:
    assert "tidegate-admin" in await kubectl("auth", "whoami")
    assert await kubectl("auth", "can-i", "delete", "ksvc") == "yes\n"
    assert "*.*" in await kubectl("auth", "can-i", "--list")


async def test_logs_are_shown_by_pod_by_container_and_by_label(kubectl: Kubectl) -> None:
    await make.given(kubectl.server.api, POD, pod_of_today(labels={"app": "x"}))
    assert len((await kubectl("logs", "hello-pod")).splitlines()) == 5
    assert await kubectl("logs", "hello-pod", "-c", "user-container", "--tail=1") == "user-container line 4\n"
    assert "[pod/hello-pod/user-container] user-container line 4" in await kubectl("logs", "-l", "app=x", "--prefix")
    wrong = await kubectl.run("logs", "hello-pod", "-c", "other")
    assert "container other is not valid for pod hello-pod" in wrong.errors
    assert (await kubectl("logs", "-f", "hello-pod")).endswith("line 4\n")


async def test_warnings_are_printed(kubectl: Kubectl) -> None:
    applied = await kubectl.run("apply", "-f", "-", stdin=SERVICE_YAML, validate="false")
    ignored = await kubectl.run(
        "apply", "--validate=warn", "-f", "-", stdin=SERVICE_YAML.replace("command:", "comand:")
    )
    assert applied.code == 0
    assert 'Warning: unknown field "spec.template.spec.containers[0].comand"' in ignored.errors


async def test_a_revision_cannot_be_changed(kubectl: Kubectl) -> None:
    revision = make.service("hello-00001")
    revision |= {"kind": "Revision", "spec": {"containers": [{"image": "tidegate.dev/host"}]}}
    await make.given(kubectl.server.api, REVISION, revision)
    refused = await kubectl.run("patch", "rev", "hello-00001", "--type=merge", "-p", '{"spec":{"timeoutSeconds":7}}')
    assert refused.code == 1
    assert "Immutable fields changed" in refused.errors


async def test_kubectl_with_a_wrong_token_is_unauthorized(kubectl: Kubectl) -> None:
    refused = await kubectl.run("--token=wrong", "get", "ksvc")
    assert refused.code == 1
    assert "Unauthorized" in refused.errors or "must be logged in" in refused.errors


# apply --server-side


async def test_server_side_apply_owns_fields_and_conflicts(kubectl: Kubectl) -> None:
    config_map = yaml.safe_dump(make.config_map("c", data={"a": "1", "b": "1"}))
    side = ("apply", "--server-side", "-f", "-")
    assert await kubectl(*side, stdin=config_map) == "configmap/c serverside-applied\n"
    shown = yaml.safe_load(await kubectl("get", "cm", "c", "-o", "yaml", "--show-managed-fields"))
    (entry,) = shown["metadata"]["managedFields"]
    assert (entry["manager"], entry["fieldsV1"]) == ("kubectl", {"f:data": {"f:a": {}, "f:b": {}}})
    other = config_map.replace("a: '1'", "a: '2'")
    conflict = await kubectl.run(*side, "--field-manager=other", stdin=other)
    assert conflict.code == 1
    assert 'conflict with "kubectl" using v1: .data.a' in conflict.errors
    await kubectl(*side, "--field-manager=other", "--force-conflicts", stdin=other)
    await kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump(make.config_map("c", data={})))
    assert kubectl.server.api.get(CONFIG_MAP, Key("default", "c"))["data"] == {"a": "2", "b": "1"}


async def test_a_service_can_be_applied_on_the_server_side(kubectl: Kubectl) -> None:
    side = ("apply", "--server-side", "-f", "-")
    assert await kubectl(*side, stdin=SERVICE_YAML) == "service.serving.knative.dev/hello serverside-applied\n"
    stored = kubectl.server.api.get(SERVICE, HELLO)
    await kubectl(*side, stdin=SERVICE_YAML)
    assert kubectl.server.api.get(SERVICE, HELLO) is stored
    await mark_ready(kubectl)
    await kubectl(*side, stdin=SERVICE_YAML.replace('"2"', '"3"'))
    assert kubectl.server.api.get(SERVICE, HELLO)["metadata"]["generation"] == 2
    assert (await kubectl.run("diff", "--server-side", "-f", "-", stdin=SERVICE_YAML)).code == 1


async def test_client_side_fields_move_to_server_side_apply(kubectl: Kubectl) -> None:
    config_map = yaml.safe_dump(make.config_map("c", data={"a": "1", "b": "1"}))
    await kubectl("apply", "-f", "-", stdin=config_map)
    moved = await kubectl.run("apply", "--server-side", "-f", "-", stdin=config_map)
    assert (moved.code, moved.out) == (0, "configmap/c serverside-applied\n"), moved.errors


# resourcequota


async def test_a_quota_is_created_shown_and_changed(kubectl: Kubectl, tmp_path: Path) -> None:
    hard = "pods=2,requests.cpu=1,limits.memory=1Gi,count/services.serving.knative.dev=1"
    assert await kubectl("create", "quota", "q", f"--hard={hard}") == "resourcequota/q created\n"
    api = kubectl.server.api
    await make.eventually(lambda: "used" in api.get(RESOURCE_QUOTA, QUOTA).get("status", {}))

    header, row = (await kubectl.run("get", "quota")).out.splitlines()
    assert header.split() == ["NAME", "REQUEST", "LIMIT", "AGE"]
    assert "count/services.serving.knative.dev: 0/1, pods: 0/2, requests.cpu: 0/1" in row
    assert "limits.memory: 0/1Gi" in row
    described = await kubectl("describe", "resourcequota", "q")
    assert ["pods", "0", "2"] in [line.split() for line in described.splitlines()]
    assert "limits.memory" in await kubectl("describe", "ns", "default")
    assert "hard" in await kubectl("explain", "resourcequota.spec")

    await kubectl("patch", "quota", "q", "-p", '{"spec": {"hard": {"pods": "3"}}}')
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i -e \'s/requests.cpu: "1"/requests.cpu: "4"/\' "$1"\n')
    editor.chmod(0o700)
    assert "q edited" in await kubectl("edit", "quota", "q", EDITOR=str(editor))
    stored = api.get(RESOURCE_QUOTA, QUOTA)["spec"]["hard"]
    assert (stored["pods"], stored["requests.cpu"], stored["limits.memory"]) == ("3", "4", "1Gi")


async def test_a_quota_is_enforced_and_an_invalid_one_is_refused(kubectl: Kubectl) -> None:
    await kubectl("create", "quota", "q", "--hard=pods=0,count/services.serving.knative.dev=0")
    pod = await kubectl.run("run", "x", "--image=tidegate.dev/host")
    assert pod.errors == (
        'Error from server (Forbidden): pods "x" is forbidden: '
        "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0\n"
    )
    service = await kubectl.run("apply", "-f", "-", stdin=SERVICE_YAML)
    assert 'services.serving.knative.dev "hello" is forbidden: exceeded quota: q' in service.errors

    bad = yaml.safe_dump(make.resource_quota(cpus="1"))
    refused = await kubectl.run("apply", "-f", "-", stdin=bad)
    assert 'spec.hard[cpus]: Invalid value: "cpus": must be a standard resource for quota' in refused.errors
    unread = await kubectl.run(
        "apply", "--validate=false", "-f", "-", stdin=yaml.safe_dump(make.resource_quota(cpu="lots"))
    )
    assert unread.code == 1
    assert "quantities must match" in unread.errors
