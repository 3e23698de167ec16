# SPDX-License-Identifier: Apache-2.0
"""The volumes of Pods, from their set-up to their removal, with real files."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from tests.node.volumes.world import VolumesWorld, root, until, volumes_world
from tidegate.kit import mounts
from tidegate.model import errors
from tidegate.model.kinds import CONFIG_MAP, POD
from tidegate.model.objects import Key, Object, uid
from tidegate.node.runtime import LaunchRejected

CONFIG = {"name": "config", "configMap": {"name": "config"}}
SECRET = {"name": "secret", "secret": {"secretName": "secret"}}
CACHE: Object = {"name": "cache", "emptyDir": {}}


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[VolumesWorld]:
    async with volumes_world(tmp_path) as made:
        yield made


def mode(place: Path) -> int:
    return stat.S_IMODE(place.stat().st_mode)


async def failure(world: VolumesWorld, *volumes: Object, **spec: object) -> str:
    with pytest.raises(LaunchRejected) as error:
        await world.set_up(*volumes, **spec)
    return error.value.message


async def test_a_pod_without_volumes_needs_no_folder(world: VolumesWorld) -> None:
    assert await world.set_up() == {}
    assert not world.folder.exists()


async def test_an_empty_dir_keeps_its_files_until_its_pod_is_removed(world: VolumesWorld) -> None:
    pod = await world.pod(CACHE)
    place = (await world.volumes.set_up(pod))["cache"]
    (place / "file").write_text("kept")

    again = (await world.volumes.set_up(pod))["cache"]
    await world.volumes.close()

    assert again == place
    assert mode(place) == 0o777
    assert (place / "file").read_text() == "kept"
    await world.volumes.remove(uid(pod))
    assert not place.exists()


async def test_folders_of_volumes_are_for_their_owner_alone(world: VolumesWorld) -> None:
    await world.secret(password="x")
    found = await world.set_up(CACHE, SECRET)

    assert set(found) == {"cache", "secret"}
    assert mode(world.folder) == 0o700


async def test_a_pod_whose_empty_dir_exceeds_its_limit_is_evicted(world: VolumesWorld) -> None:
    pod = await world.pod({"name": "cache", "emptyDir": {"sizeLimit": "64Ki"}})
    place = (await world.volumes.set_up(pod))["cache"]
    (place / "small").write_bytes(b"x" * 60_000)
    await world.evictions.check()
    assert await world.cluster.get(POD, Key("default", "app"))

    (place / "small").write_bytes(b"x" * 70_000)
    await world.evictions.check()

    with pytest.raises(errors.NotFound):
        await world.cluster.get(POD, Key("default", "app"))
    async with asyncio.timeout(10):
        while 'Evicted: Usage of EmptyDir volume "cache" exceeds the limit "64Ki". ' not in await world.events():
            await asyncio.sleep(0.01)


async def test_a_config_map_that_was_deleted_while_nothing_ran_is_missed_at_the_next_start(world: VolumesWorld) -> None:
    await world.config_map(key="value")
    pod = await world.pod(CONFIG)
    await world.volumes.set_up(pod)
    await world.volumes.close()
    await world.cluster.delete(CONFIG_MAP, Key("default", "config"))

    with pytest.raises(LaunchRejected, match='configmap "config" not found'):
        await world.volumes.set_up(pod)


async def test_sets_up_and_removals_of_many_pods_at_once_leave_nothing(world: VolumesWorld) -> None:
    await world.config_map(key="value")
    await world.secret(password="x")
    medium = "Memory" if os.geteuid() == 0 else ""
    memory = {"name": "memory", "emptyDir": {"medium": medium}}
    pods = [await world.pod(CONFIG, SECRET, CACHE, memory, projected(), name=f"pod{number}") for number in range(30)]

    async def live(number: int) -> None:
        for _ in range(3):
            await world.volumes.set_up(pods[number])
            if number % 5 == 0:
                await world.change(key=f"{number}")
            await world.volumes.remove(uid(pods[number]))

    await asyncio.gather(*map(live, range(len(pods))))

    left = [entry for part in ("pods", "objects", "memory") for entry in (world.folder / part).iterdir()]
    assert left == []
    assert mounts.below(world.folder) in ([], [world.folder / "memory"])


@root
async def test_an_empty_dir_in_memory_has_its_limit_and_is_unmounted_with_its_pod(world: VolumesWorld) -> None:
    pod = await world.pod({"name": "cache", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}})
    place = (await world.volumes.set_up(pod))["cache"]

    assert place.is_mount()
    assert mode(place) == 0o777
    assert os.statvfs(place).f_blocks * os.statvfs(place).f_frsize == 2**20
    with pytest.raises(OSError, match="No space left"):
        (place / "large").write_bytes(bytes(2**21))
    await world.volumes.set_up(pod)
    assert len(mounts.below(world.folder)) == 1
    await world.volumes.remove(uid(pod))
    assert mounts.below(world.folder) == []
    assert not place.exists()


@root
async def test_volumes_of_a_pod_with_an_fs_group_belong_to_it(world: VolumesWorld) -> None:
    await world.config_map(key="value")
    found = await world.set_up(CACHE, CONFIG, securityContext={"fsGroup": 2000})

    assert (found["cache"].stat().st_gid, mode(found["cache"])) == (2000, 0o2777)
    assert ((found["config"] / "key").stat().st_gid, mode(found["config"] / "key")) == (2000, 0o644)


async def test_a_config_map_and_a_secret_are_files(world: VolumesWorld) -> None:
    await world.config_map(key="value")
    await world.secret(password="s3cret")

    found = await world.set_up(CONFIG, SECRET)

    assert (found["config"] / "key").read_text() == "value"
    assert (found["secret"] / "password").read_text() == "s3cret"
    assert (found["config"] / "key").readlink() == Path("..data/key")


@root
async def test_values_of_secrets_are_in_memory(world: VolumesWorld) -> None:
    await world.secret(password="s3cret")

    found = await world.set_up(SECRET)

    assert found["secret"].parents[1].is_mount()


async def test_a_changed_config_map_appears_in_the_volume_of_a_running_pod(world: VolumesWorld) -> None:
    await world.config_map(key="old", other="1")
    place = (await world.set_up(CONFIG))["config"]

    await world.change(key="new", other=None)

    await until(lambda: (place / "key").read_text() == "new")
    await until(lambda: not (place / "other").exists())


async def test_a_deleted_config_map_leaves_the_files_of_a_running_pod(world: VolumesWorld) -> None:
    await world.config_map(key="value")
    pod = await world.pod(CONFIG)
    place = (await world.volumes.set_up(pod))["config"]
    await world.cluster.delete(CONFIG_MAP, Key("default", "config"))

    again = await world.volumes.set_up(pod)  # e.g. by the next control plane

    assert again["config"] == place
    assert (place / "key").read_text() == "value"


async def test_changed_labels_appear_in_the_downward_api(world: VolumesWorld) -> None:
    items = [{"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}}]
    place = (await world.set_up({"name": "me", "downwardAPI": {"items": items}}))["me"]
    assert (place / "labels").read_text() == 'app="app"'

    await world.cluster.patch(POD, Key("default", "app"), {"metadata": {"labels": {"app": "renamed"}}})

    await until(lambda: (place / "labels").read_text() == 'app="renamed"')


async def test_a_missing_config_map_is_waited_for(world: VolumesWorld) -> None:
    pod = await world.pod(CONFIG)
    with pytest.raises(LaunchRejected) as error:
        await world.volumes.set_up(pod)
    waiting = asyncio.create_task(world.volumes.changed(uid(pod)))

    await world.config_map(key="value")
    await asyncio.wait_for(waiting, 10)

    assert error.value.message == 'MountVolume.SetUp failed for volume "config" : configmap "config" not found'
    assert ((await world.volumes.set_up(pod))["config"] / "key").read_text() == "value"


async def test_a_refresh_that_fails_keeps_the_files_and_is_reported(world: VolumesWorld) -> None:
    await world.config_map(key="value")
    volume = {"name": "config", "configMap": {"name": "config", "items": [{"key": "key", "path": "key"}]}}
    place = (await world.set_up(volume))["config"]

    await world.change(key=None, other="x")

    expected = 'FailedMount: MountVolume.SetUp failed for volume "config" : references non-existent config key: key'
    async with asyncio.timeout(10):
        while expected not in await world.events():
            await asyncio.sleep(0.01)
    assert (place / "key").read_text() == "value"


async def test_the_volumes_of_unknown_pods_are_removed(world: VolumesWorld) -> None:
    await world.secret(password="x")
    kept, deleted = [await world.pod(CACHE, SECRET, name=name) for name in ("kept", "deleted")]
    places = [(await world.volumes.set_up(pod))["cache"] for pod in (kept, deleted)]

    await world.volumes.remove_others([uid(kept)])

    assert [place.exists() for place in places] == [True, False]
    assert sorted(entry.name for entry in (world.folder / "memory").iterdir()) == [uid(kept)]


async def test_a_host_path_has_the_type_that_its_pod_asks_for(
    world: VolumesWorld, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("host")
    (outside / "file").touch()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(outside)
        server.bind("socket")

    async def shown(name: str, wanted: str) -> Path:
        volume = {"name": "host", "hostPath": {"path": str(outside / name), "type": wanted}}
        return (await world.set_up(volume, name=f"pod-{Path(name).name}-{wanted.lower()}"))["host"]

    assert await shown("file", "File") == outside / "file"
    assert await shown("socket", "Socket") == outside / "socket"
    assert (await shown("new/folder", "DirectoryOrCreate")).is_dir()
    assert mode(outside / "new") == mode(outside / "new/folder") == 0o755
    assert (await shown("created", "FileOrCreate")).is_file()
    for name, wanted, title in (("file", "Directory", "a directory"), ("absent", "File", "a file")):
        with pytest.raises(LaunchRejected, match=f"hostPath type check failed: .* is not {title}"):
            await shown(name, wanted)


async def test_a_host_path_never_shows_the_state_folder(world: VolumesWorld) -> None:
    link = world.folder.parent.parent / f"{world.folder.parent.name}-link"
    link.symlink_to(world.folder.parent)
    for number, path in enumerate((world.folder, world.folder.parent, Path("/"), link)):
        message = await failure(world, {"name": "host", "hostPath": {"path": str(path)}}, name=f"pod{number}")

        assert "is not allowed: it leads to the state folder" in message


def projected(**token: object) -> Object:
    return {"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "token", **token}}]}}


def subject(text: str) -> str:
    return str(jwt.decode(text, options={"verify_signature": False})["sub"])


async def test_a_pod_gets_a_token_of_its_service_account(world: VolumesWorld) -> None:
    place = (await world.set_up(projected(audience="vault")))["token"]

    claims = jwt.decode((place / "token").read_text(), options={"verify_signature": False})
    assert claims["sub"] == "system:serviceaccount:default:default"
    assert claims["aud"] == ["vault"]
    assert claims["kubernetes.io"]["pod"]["name"] == "app"


async def test_a_missing_service_account_is_reported(world: VolumesWorld) -> None:
    message = await failure(world, CACHE, serviceAccountName="nobody")

    assert message == 'error looking up service account default/nobody: serviceaccount "nobody" not found'


async def test_a_container_pod_gets_its_token_without_asking(world: VolumesWorld) -> None:
    image = [{"name": "main", "image": "registry.test/app"}]
    found = await world.set_up(containers=image)
    none = await world.set_up(name="none", containers=image, automountServiceAccountToken=False)
    process = await world.set_up(name="process", containers=[{"name": "main", "image": "tidegate.dev/host"}])

    (place,) = found.values()
    assert subject((place / "token").read_text()) == "system:serviceaccount:default:default"
    assert (place / "namespace").read_text() == "default"
    assert (place / "ca.crt").read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert (none, process) == ({}, {})


@pytest.mark.parametrize("source", ["nfs", "csi", "ephemeral", "image"])
async def test_other_types_are_rejected_by_their_name(world: VolumesWorld, source: str) -> None:
    message = await failure(world, {"name": "other", source: {}})

    assert message == f'MountVolume.SetUp failed for volume "other" : volumes of type {source} are not supported'


async def test_a_cancelled_set_up_leaves_nothing_after_its_removal(world: VolumesWorld) -> None:
    pod = await world.pod(*({"name": f"v{number}", "emptyDir": {}} for number in range(20)))
    for _ in range(20):
        setting_up = asyncio.create_task(world.volumes.set_up(pod))
        await asyncio.sleep(0.002)
        setting_up.cancel()
        await asyncio.gather(setting_up, return_exceptions=True)
        await world.volumes.remove(uid(pod))
        assert not (world.folder / "pods" / uid(pod)).exists()
