# SPDX-License-Identifier: Apache-2.0
"""From volumes and objects to files."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.model.kinds import CONFIG_MAP, SECRET
from tidegate.model.objects import Object
from tidegate.model.tokens import TokenOptions
from tidegate.node.downward import NodeFacts
from tidegate.node.volumes.payload import (
    Reference,
    Sources,
    VolumeFile,
    VolumeProblem,
    payload,
    references,
    tokens,
)

NODE = NodeFacts("here", {"cpu": "4", "memory": "8Gi"})
CONFIG: Object = {"data": {"a": "1", "b": "2"}, "binaryData": {"c": base64.b64encode(b"\0\xff").decode()}}
PRIVATE: Object = {"data": {"password": base64.b64encode(b"s3cret").decode()}}
POD: Object = {
    "metadata": {"name": "app", "namespace": "ns", "uid": "u1", "labels": {"b": "2", "a": 'say "hi"\n'}},
    "spec": {
        "containers": [{"name": "main", "resources": {"limits": {"cpu": "1500m", "memory": "64Mi"}}}, {"name": "other"}]
    },
}


def files_of(volume: Object, pod: Object = POD, **objects: Object) -> dict[str, VolumeFile]:
    known: dict[Reference, Object | None] = {Reference(CONFIG_MAP, name): obj for name, obj in objects.items()}
    known |= {Reference(CONFIG_MAP, "config"): CONFIG, Reference(SECRET, "secret"): PRIVATE}
    named = {reference: known.get(reference) for reference in references(volume)}
    issued = {options: f"token for {''.join(options.audiences)}" for options in tokens(volume)}
    return dict(payload({"name": "v", **volume}, Sources(pod, NODE, named, issued)))


def texts(volume: Object, **objects: Object) -> dict[str, str]:
    return {path: file.content.decode(errors="replace") for path, file in files_of(volume, **objects).items()}


def problem(volume: Object, **objects: Object) -> str:
    with pytest.raises(VolumeProblem) as error:
        files_of(volume, **objects)
    return str(error.value)


def config(**content: Any) -> Object:
    return {"configMap": {"name": "config", **content}}


def test_a_config_map_shows_all_its_keys() -> None:
    found = files_of(config())

    assert found["a"] == VolumeFile(b"1", 0o644)
    assert found["c"] == VolumeFile(b"\0\xff", 0o644)
    assert set(found) == {"a", "b", "c"}


def test_items_choose_keys_paths_and_modes() -> None:
    items = [{"key": "a", "path": "x/y"}, {"key": "b", "path": "z", "mode": 0o400}]

    assert files_of(config(items=items, defaultMode=0o600)) == {
        "x/y": VolumeFile(b"1", 0o600),
        "z": VolumeFile(b"2", 0o400),
    }


def test_a_secret_is_named_by_its_own_field() -> None:
    assert texts({"secret": {"secretName": "secret"}}) == {"password": "s3cret"}


def test_missing_objects_and_keys_are_named_as_the_kubelet_names_them() -> None:
    assert problem({"configMap": {"name": "gone"}}) == 'configmap "gone" not found'
    assert problem({"secret": {"secretName": "gone"}}) == 'secret "gone" not found'
    assert problem(config(items=[{"key": "x", "path": "x"}])) == "references non-existent config key: x"
    assert (
        problem({"secret": {"secretName": "secret", "items": [{"key": "x", "path": "x"}]}})
        == "references non-existent secret key: x"
    )


def test_optional_objects_and_keys_may_be_missing() -> None:
    assert files_of({"configMap": {"name": "gone", "optional": True}}) == {}
    assert texts(config(items=[{"key": "x", "path": "x"}, {"key": "a", "path": "a"}], optional=True)) == {"a": "1"}


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "..", "../x", "a/../../x", "..data", "..2026/x", "a/..", ".", "a\0b", "x" * 300]
)
def test_a_path_that_leaves_the_volume_is_rejected(path: str) -> None:
    assert problem(config(items=[{"key": "a", "path": path}])).startswith("invalid path")


@given(st.text("./ab\0", max_size=12))
def test_every_accepted_path_stays_in_the_volume(path: str) -> None:
    try:
        found = files_of(config(items=[{"key": "a", "path": path}]))
    except VolumeProblem:
        return
    (accepted,) = found
    assert not accepted.startswith(("/", ".."))
    assert ".." not in accepted.split("/")


def test_a_path_below_a_file_is_rejected() -> None:
    items = [{"key": "a", "path": "x"}, {"key": "b", "path": "x/y"}]

    assert problem(config(items=items)) == "the paths 'x' and 'x/y' exclude each other"


def test_a_volume_has_a_limit() -> None:
    big: Object = {"data": {f"k{number}": "x" * 1_000_000 for number in range(20)}}

    assert problem({"configMap": {"name": "big"}}, big=big).endswith("the limits are 16777216 bytes and 10000 files")


def test_projected_sources_share_one_folder() -> None:
    volume = {
        "projected": {
            "defaultMode": 0o440,
            "sources": [
                {"configMap": {"name": "config", "items": [{"key": "a", "path": "both"}]}},
                {"secret": {"name": "secret", "items": [{"key": "password", "path": "both", "mode": 0o400}]}},
                {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
                {"serviceAccountToken": {"path": "tokens/vault", "audience": "vault", "expirationSeconds": 600}},
            ],
        }
    }

    assert files_of(volume) == {
        "both": VolumeFile(b"s3cret", 0o400),
        "name": VolumeFile(b"app", 0o440),
        "tokens/vault": VolumeFile(b"token for vault", 0o440),
    }
    assert list(tokens(volume)) == [TokenOptions(("vault",), 600)]


def test_a_token_belongs_to_the_only_user_of_a_pod() -> None:
    volume = {"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    one = {**POD, "spec": {"containers": [{"name": "main"}], "securityContext": {"runAsUser": 1000}}}
    two = {
        **POD,
        "spec": {**one["spec"], "containers": [{"name": "a"}, {"name": "b", "securityContext": {"runAsUser": 1}}]},
    }
    group = {**POD, "spec": {"containers": [{"name": "main"}], "securityContext": {"fsGroup": 2000}}}

    assert files_of(volume, one)["token"][1:] == (0o600, 1000)
    assert files_of(volume, two)["token"][1:] == (0o644, None)
    assert files_of(volume, group)["token"][1:] == (0o600, None)


def test_the_downward_api_shows_metadata_and_resources() -> None:
    def field(path: str) -> str:
        return texts({"downwardAPI": {"items": [{"path": "f", "fieldRef": {"fieldPath": path}}]}})["f"]

    def resource(name: str, container: str = "main", divisor: str = "") -> str:
        reference = {"containerName": container, "resource": name, "divisor": divisor}
        return texts({"downwardAPI": {"items": [{"path": "r", "resourceFieldRef": reference}]}})["r"]

    assert field("metadata.labels") == 'a="say \\"hi\\"\\n"\nb="2"'
    assert field("metadata.labels['b']") == "2"
    assert field("metadata.annotations") == ""
    assert field("metadata.uid") == "u1"
    assert resource("limits.cpu") == "2"
    assert resource("limits.cpu", divisor="1m") == "1500"
    assert resource("limits.memory", divisor="1Mi") == "64"
    assert resource("requests.memory") == str(64 * 2**20)
    assert resource("limits.memory", "other") == str(8 * 2**30)
    assert resource("requests.cpu", "other") == "0"


def test_downward_references_that_lead_nowhere_are_rejected() -> None:
    assert "status.podIP is not supported" in problem(
        {"downwardAPI": {"items": [{"path": "f", "fieldRef": {"fieldPath": "status.podIP"}}]}}
    )
    assert "not supported" in problem(
        {
            "downwardAPI": {
                "items": [{"path": "f", "resourceFieldRef": {"containerName": "no", "resource": "limits.cpu"}}]
            }
        }
    )


def test_projected_sources_of_other_types_are_rejected() -> None:
    volume = {"projected": {"sources": [{"clusterTrustBundle": {"path": "x"}}]}}

    with pytest.raises(VolumeProblem, match="clusterTrustBundle is not supported"):
        list(references(volume))
