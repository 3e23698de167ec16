# SPDX-License-Identifier: Apache-2.0
"""The rules of a Pod's volumes, in Kubernetes' words."""

from typing import Any

import pytest

from tidegate.model.validation import pod_volumes

CONFIG = {"name": "a", "configMap": {"name": "c"}}


def errors_of(*volumes: Any) -> list[str]:
    return [f"{cause.field}: {cause.message}" for cause in pod_volumes.volumes({"volumes": list(volumes)})]


def mount_errors(*mounts: Any) -> list[str]:
    found = pod_volumes.mounts({"volumeMounts": list(mounts)}, "spec.containers[0]", {"a"})
    return [f"{cause.field}: {cause.message}" for cause in found]


def test_volumes_that_kubernetes_accepts_have_no_errors() -> None:
    assert (
        errors_of(
            {"name": "empty"},
            {"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "1Gi"}},
            {"name": "config", "configMap": {"name": "c", "items": [{"key": "k", "path": "a/b..c", "mode": 0o777}]}},
            {"name": "secret", "secret": {"secretName": "s", "defaultMode": 0o400}},
            {"name": "host", "hostPath": {"path": "/srv", "type": "Directory"}},
            {"name": "data", "persistentVolumeClaim": {"claimName": "data"}},
            {"name": "me", "downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {
                "name": "all",
                "projected": {"sources": [{"serviceAccountToken": {"path": "t", "expirationSeconds": 600}}]},
            },
        )
        == []
    )


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        ({"emptyDir": {}}, "name: Required value"),
        ({"name": "a_b", "emptyDir": {}}, 'name: Invalid value: "a_b": a lowercase RFC 1123 label must consist of'),
        ({**CONFIG, "secret": {"secretName": "s"}}, "secret: Forbidden: may not specify more than 1 volume type"),
        ({"name": "a", "configMap": {}}, "configMap.name: Required value"),
        ({"name": "a", "secret": {}}, "secret.secretName: Required value"),
        ({"name": "a", "persistentVolumeClaim": {}}, "persistentVolumeClaim.claimName: Required value"),
        ({"name": "a", "hostPath": {}}, "hostPath.path: Required value"),
        (
            {"name": "a", "hostPath": {"path": "/a/../b"}},
            "hostPath.path: Invalid value: \"/a/../b\": must not contain '..'",
        ),
        ({"name": "a", "hostPath": {"path": "/a", "type": "Pipe"}}, 'hostPath.type: Unsupported value: "Pipe"'),
        ({"name": "a", "emptyDir": {"medium": "Tape"}}, 'emptyDir.medium: Unsupported value: "Tape"'),
        ({"name": "a", "emptyDir": {"sizeLimit": "-1"}}, "emptyDir.sizeLimit: Forbidden: SizeLimit field must be"),
        (
            {"name": "a", "secret": {"secretName": "s", "defaultMode": 0o1000}},
            "secret.defaultMode: Invalid value: 512: must be a number between 0 and 0777 (octal), both inclusive",
        ),
    ],
)
def test_wrong_volumes_are_rejected(volume: Any, expected: str) -> None:
    (error,) = errors_of(volume)

    assert error.startswith(f"spec.volumes[0].{expected}")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("", "path: Required value"),
        ("/x", 'path: Invalid value: "/x": must be a relative path'),
        ("a/../x", "path: Invalid value: \"a/../x\": must not contain '..'"),
        ("..x", "path: Invalid value: \"..x\": must not start with '..'"),
    ],
)
def test_wrong_paths_of_items_are_rejected(path: str, expected: str) -> None:
    (error,) = errors_of({"name": "a", "configMap": {"name": "c", "items": [{"key": "k", "path": path}]}})

    assert error == f"spec.volumes[0].configMap.items[0].{expected}"


def test_wrong_projections_are_rejected() -> None:
    def token(**content: Any) -> Any:
        return {"serviceAccountToken": {"path": "t", **content}}

    sources = [token(expirationSeconds=1), token(expirationSeconds=2**33), {"configMap": {}}, token(path="/t")]

    prefix = "spec.volumes[0].projected.sources"
    assert [error.removeprefix(prefix) for error in errors_of({"name": "a", "projected": {"sources": sources}})] == [
        "[0].serviceAccountToken.expirationSeconds: Invalid value: 1: may not specify a duration less than 10 minutes",
        "[1].serviceAccountToken.expirationSeconds: Invalid value: 8589934592: may not specify a duration larger than "
        "2^32 seconds",
        '[1].serviceAccountToken: Invalid value: "t": conflicting duplicate paths',
        "[2].configMap.name: Required value",
        '[3].serviceAccountToken.path: Invalid value: "/t": must be a relative path',
    ]


def test_names_of_volumes_are_unique() -> None:
    assert errors_of(CONFIG, CONFIG) == ['spec.volumes[1].name: Duplicate value: "a"']


@pytest.mark.parametrize(
    ("mount", "expected"),
    [
        ({"name": "a", "mountPath": "/x"}, None),
        ({"name": "b", "mountPath": "/x"}, 'name: Not found: "b"'),
        ({"mountPath": "/x"}, "name: Required value"),
        ({"name": "a"}, "mountPath: Required value"),
        ({"name": "a", "mountPath": "/x", "subPath": "/y"}, 'subPath: Invalid value: "/y": must be a relative path'),
        (
            {"name": "a", "mountPath": "/x", "subPath": "../y"},
            "subPath: Invalid value: \"../y\": must not contain '..'",
        ),
        (
            {"name": "a", "mountPath": "/x", "subPath": "y", "subPathExpr": "z"},
            'subPathExpr: Invalid value: "z": subPathExpr and subPath are mutually exclusive',
        ),
    ],
)
def test_wrong_mounts_are_rejected(mount: Any, expected: str | None) -> None:
    assert mount_errors(mount) == ([f"spec.containers[0].volumeMounts[0].{expected}"] if expected else [])


def test_two_mounts_at_one_path_are_rejected() -> None:
    mount = {"name": "a", "mountPath": "/x"}

    assert mount_errors(mount, mount) == [
        'spec.containers[0].volumeMounts[1].mountPath: Invalid value: "/x": must be unique'
    ]
