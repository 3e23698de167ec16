# SPDX-License-Identifier: Apache-2.0
"""The volumes of processes in a sandbox."""

from pathlib import Path
from typing import Any

import pytest

from tidegate.node.runtime import Launch, LaunchRejected
from tidegate.node.runtimes.process.bubblewrap import Bind
from tidegate.node.runtimes.process.volume_binds import volume_binds

POD = {"spec": {"volumes": [{"name": "config", "configMap": {"name": "c"}}, {"name": "cache", "emptyDir": {}}]}}


def binds(folder: Path, *mounts: dict[str, Any]) -> list[Bind]:
    volumes = {name: folder / name for name in ("config", "cache")}
    return list(volume_binds(Launch(POD, {"name": "main", "volumeMounts": list(mounts)}, volumes=volumes)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config" / "..2026").mkdir(parents=True)
    (tmp_path / "cache").mkdir()
    (tmp_path / "config" / "..2026" / "key").write_text("value")
    (tmp_path / "config" / "..data").symlink_to("..2026")
    (tmp_path / "config" / "key").symlink_to("..data/key")
    return tmp_path


def test_volumes_are_bound_at_their_paths(folder: Path) -> None:
    assert binds(
        folder, {"name": "cache", "mountPath": "/a"}, {"name": "config", "mountPath": "/b", "readOnly": True}
    ) == [
        Bind(str(folder / "cache"), "/a", writable=True),
        Bind(str(folder / "config"), "/b"),
    ]


def test_a_part_of_a_config_map_is_bound_as_it_is_now(folder: Path) -> None:
    (found,) = binds(folder, {"name": "config", "mountPath": "/b", "subPath": "key", "readOnly": True})

    assert found == Bind(str(folder / "config" / "..2026" / "key"), "/b")


@pytest.mark.parametrize(
    ("mount", "message"),
    [
        ({"name": "none"}, "volumeMounts.name: there is no volume 'none'"),
        ({"name": "cache", "subPath": "x"}, "volumeMounts.subPath: a process can have parts of ConfigMaps"),
        ({"name": "config", "subPath": "missing"}, "volumeMounts.subPath: 'missing' does not exist"),
        ({"name": "config", "subPath": "../cache"}, "volumeMounts.subPath: '../cache' does not exist"),
        ({"name": "config", "subPath": "/etc"}, "volumeMounts.subPath: '/etc' does not exist"),
        ({"name": "config", "subPathExpr": "$(A)"}, "volumeMounts.subPathExpr: a process cannot have it"),
        ({"name": "config", "mountPropagation": "Bidirectional"}, "volumeMounts.mountPropagation: Bidirectional"),
    ],
)
def test_mounts_that_a_process_cannot_have_are_rejected(folder: Path, mount: dict[str, Any], message: str) -> None:
    with pytest.raises(LaunchRejected) as error:
        binds(folder, {"mountPath": "/a", **mount})

    assert error.value.message.startswith(message)
