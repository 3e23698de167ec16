# SPDX-License-Identifier: Apache-2.0
"""Persistent volume claims: from a claim to a folder, and back."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from harness.waiting import PATIENCE
from tests.node.volumes.world import VolumesWorld, until, volumes_world
from tidegate.model import errors
from tidegate.model.kinds import PERSISTENT_VOLUME, PERSISTENT_VOLUME_CLAIM, POD, STORAGE_CLASS, Kind
from tidegate.model.objects import Key, Object, uid
from tidegate.node.runtime import LaunchRejected

NAME = Key("default", "data")
VOLUME = {"name": "data", "persistentVolumeClaim": {"claimName": "data"}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[VolumesWorld]:
    async with volumes_world(tmp_path) as made:
        yield made


def claim(**spec: Any) -> Object:
    asked = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, **spec}
    metadata = {"name": "data", "namespace": "default"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": metadata, "spec": asked}


async def settled(world: VolumesWorld, kind: Kind, name: Key, holds: Callable[[Object | None], bool]) -> Object:
    """The object, once that holds for it; {} if it is missing."""
    found: Object | None = None
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                found = await world.cluster.get(kind, name)
            except errors.NotFound:
                found = None
            if holds(found):
                return found or {}
            await asyncio.sleep(0.005)


async def bound(world: VolumesWorld, **spec: Any) -> Object:
    await world.cluster.create(PERSISTENT_VOLUME_CLAIM, claim(**spec))
    return await settled(world, PERSISTENT_VOLUME_CLAIM, NAME, _is_bound)


def _is_bound(obj: Object | None) -> bool:
    return obj is not None and (obj.get("status") or {}).get("phase") == "Bound"


async def missing(world: VolumesWorld, kind: Kind, name: Key) -> None:
    await settled(world, kind, name, lambda obj: obj is None)


async def test_a_claim_gets_a_folder_and_a_volume(world: VolumesWorld) -> None:
    found = await bound(world)
    volume = await world.cluster.get(PERSISTENT_VOLUME, Key("", found["spec"]["volumeName"]))
    place = (await world.set_up(VOLUME))["data"]

    assert found["spec"]["storageClassName"] == "tidegate"
    assert found["status"] == {"phase": "Bound", "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "1Gi"}}
    assert volume["spec"]["claimRef"]["uid"] == uid(found)
    assert volume["spec"]["hostPath"]["path"] == str(place)
    assert (place.stat().st_mode & 0o7777, place.parent.stat().st_mode & 0o77) == (0o777, 0)


async def test_a_claim_keeps_its_files_until_it_is_deleted_and_no_pod_uses_it(world: VolumesWorld) -> None:
    found = await bound(world)
    first, second = [await world.pod(VOLUME, name=name) for name in ("first", "second")]
    place = (await world.volumes.set_up(first))["data"]
    (place / "file").write_text("kept")

    await world.volumes.remove(uid(first))
    await world.cluster.delete(POD, Key("default", "first"), grace_seconds=0)
    await world.cluster.delete(PERSISTENT_VOLUME_CLAIM, NAME)
    await asyncio.sleep(0.1)

    held = await world.cluster.get(PERSISTENT_VOLUME_CLAIM, NAME)
    assert held["metadata"]["finalizers"] == ["kubernetes.io/pvc-protection"]
    assert (place / "file").read_text() == "kept"
    with pytest.raises(LaunchRejected, match='"data" is being deleted'):
        await world.volumes.set_up(second)

    await world.cluster.delete(POD, Key("default", "second"), grace_seconds=0)
    await missing(world, PERSISTENT_VOLUME_CLAIM, NAME)
    await missing(world, PERSISTENT_VOLUME, Key("", found["spec"]["volumeName"]))
    assert not place.exists()


async def test_a_claim_of_a_pod_that_has_ended_is_free(world: VolumesWorld) -> None:
    await bound(world)
    pod = await world.pod(VOLUME)
    await world.cluster.delete(PERSISTENT_VOLUME_CLAIM, NAME)

    await world.cluster.patch(POD, Key("default", "app"), {"status": {"phase": "Succeeded"}}, subresource="status")

    await missing(world, PERSISTENT_VOLUME_CLAIM, NAME)
    assert pod


async def test_a_pod_waits_for_its_claim(world: VolumesWorld) -> None:
    pod = await world.pod(VOLUME)
    with pytest.raises(LaunchRejected, match='volume "data" : persistentvolumeclaim "data" not found'):
        await world.volumes.set_up(pod)
    waiting = asyncio.create_task(world.volumes.changed(uid(pod)))

    await bound(world)

    await asyncio.wait_for(waiting, PATIENCE)
    assert (await world.volumes.set_up(pod))["data"].is_dir()


async def test_a_claim_with_one_pod_is_refused_to_others(world: VolumesWorld) -> None:
    await bound(world, accessModes=["ReadWriteOncePod"])
    await world.set_up(VOLUME, name="first")

    with pytest.raises(LaunchRejected, match="ReadWriteOncePod"):
        await world.set_up(VOLUME, name="second")


async def test_a_claim_of_another_class_stays_pending(world: VolumesWorld) -> None:
    await world.cluster.create(PERSISTENT_VOLUME_CLAIM, claim(storageClassName="gp2"))
    expected = 'ProvisioningFailed: storageclass.storage.k8s.io "gp2" not found'
    async with asyncio.timeout(PATIENCE):
        while expected not in await world.events():
            await asyncio.sleep(0.01)
    assert (await world.cluster.get(PERSISTENT_VOLUME_CLAIM, NAME))["status"] == {"phase": "Pending"}

    body = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "gp2"}}
    await world.cluster.create(STORAGE_CLASS, {**body, "provisioner": "tidegate.dev/folder"})

    await settled(world, PERSISTENT_VOLUME_CLAIM, NAME, _is_bound)


async def test_a_volume_that_is_retained_keeps_its_files(world: VolumesWorld) -> None:
    body = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": "kept"}}
    retained = {**body, "provisioner": "tidegate.dev/folder", "reclaimPolicy": "Retain"}
    await world.cluster.create(STORAGE_CLASS, retained)
    found = await bound(world, storageClassName="kept")
    name = Key("", found["spec"]["volumeName"])
    place = world.folder / "claims" / name.name
    (place / "file").write_text("kept")

    await world.cluster.delete(PERSISTENT_VOLUME_CLAIM, NAME)
    await settled(world, PERSISTENT_VOLUME, name, lambda obj: (obj or {}).get("status") == {"phase": "Released"})
    await world.cluster.delete(PERSISTENT_VOLUME, name)

    await missing(world, PERSISTENT_VOLUME, name)
    assert (place / "file").read_text() == "kept"


async def test_a_volume_stays_while_its_claim_exists(world: VolumesWorld) -> None:
    found = await bound(world)
    name = Key("", found["spec"]["volumeName"])

    await world.cluster.delete(PERSISTENT_VOLUME, name)
    await asyncio.sleep(0.05)

    assert (await world.cluster.get(PERSISTENT_VOLUME, name))["metadata"]["deletionTimestamp"]
    await world.cluster.delete(PERSISTENT_VOLUME_CLAIM, NAME)
    await missing(world, PERSISTENT_VOLUME, name)
    await until(lambda: not (world.folder / "claims" / name.name).exists())


async def test_a_claim_may_grow(world: VolumesWorld) -> None:
    await bound(world)
    larger = {"spec": {"resources": {"requests": {"storage": "2Gi"}}}}
    await world.cluster.patch(PERSISTENT_VOLUME_CLAIM, NAME, larger)

    def has_grown(obj: Object | None) -> bool:
        return obj is not None and bool(obj["status"].get("capacity") == {"storage": "2Gi"})

    await settled(world, PERSISTENT_VOLUME_CLAIM, NAME, has_grown)
    with pytest.raises(errors.Invalid, match="field can not be less than previous value"):
        await world.cluster.patch(
            PERSISTENT_VOLUME_CLAIM, NAME, {"spec": {"resources": {"requests": {"storage": "1Gi"}}}}
        )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"accessModes": []}, "spec.accessModes: Required value"),
        ({"accessModes": ["Some"]}, 'spec.accessModes: Unsupported value: "Some": supported values: "ReadOnlyMany"'),
        (
            {"accessModes": ["ReadWriteOncePod", "ReadWriteOnce"]},
            "may not use ReadWriteOncePod with other access modes",
        ),
        ({"resources": {}}, "spec.resources[storage]: Required value"),
        ({"resources": {"requests": {"storage": "0"}}}, "must be greater than zero"),
        ({"volumeMode": "Block"}, 'spec.volumeMode: Unsupported value: "Block": supported values: "Filesystem"'),
        ({"selector": {"matchLabels": {"a": "b"}}}, "spec.selector: Forbidden: is not supported"),
        ({"dataSource": {"kind": "VolumeSnapshot", "name": "x"}}, "spec.dataSource: Forbidden: is not supported"),
    ],
)
async def test_wrong_claims_are_rejected(world: VolumesWorld, spec: dict[str, Any], message: str) -> None:
    with pytest.raises(errors.Invalid) as error:
        await world.cluster.create(PERSISTENT_VOLUME_CLAIM, claim(**spec))

    assert message in error.value.message


async def test_the_spec_of_a_claim_is_immutable(world: VolumesWorld) -> None:
    await bound(world)

    for change in ({"accessModes": ["ReadWriteMany"]}, {"volumeName": "other"}, {"storageClassName": "other"}):
        with pytest.raises(errors.Invalid, match="spec is immutable after creation"):
            await world.cluster.patch(PERSISTENT_VOLUME_CLAIM, NAME, {"spec": change})
