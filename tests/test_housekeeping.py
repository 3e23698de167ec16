# SPDX-License-Identifier: Apache-2.0
"""Deletion of unused files and measurement of the disk, with objects of a real API."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from harness import images
from harness.apiserver import cluster_of, opened
from tidegate.client.configs import LiveConfigs
from tidegate.client.informers import Informers
from tidegate.housekeeping import Housekeeping
from tidegate.images import loading
from tidegate.images.store import ImageStore
from tidegate.kit.clock import RealClock, VirtualClock
from tidegate.kit.disk import readable, usage
from tidegate.kit.supervision import Health
from tidegate.model import kinds
from tidegate.model.kinds import Kind
from tidegate.model.names import SYSTEM_NAMESPACE
from tidegate.model.objects import Object
from tidegate.settings import Settings
from tidegate.statusz import Statusz


def running(digest: str) -> Object:
    return {"containers": [{"name": "app", "image": f"tidegate.dev/bundle/hello@sha256:{digest}"}]}


def obj(kind: Kind, name: str, spec: Object) -> Object:
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": spec,
    }


@asynccontextmanager
async def housekeeping(home: Path, *objects: tuple[Kind, Object]) -> AsyncIterator[Housekeeping]:
    async with opened(home) as api:
        cluster = cluster_of(api, "tests")
        for kind, given in objects:
            await cluster.create(kind, given)
        informers = Informers(cluster)
        tasks = [asyncio.create_task(informer.run()) for informer in informers]
        configs = LiveConfigs(informers.config_maps, domain="localhost")
        yield Housekeeping(Settings(home), informers, configs, VirtualClock(wall=RealClock().wall()))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def bundle(home: Path, digest: str, *, hours: float) -> str:
    folder = home / "bundles" / digest
    folder.mkdir(parents=True)
    (folder / "bundle.json").write_text("x" * 10_000)
    touched = (RealClock().wall() - timedelta(hours=hours)).timestamp()
    os.utime(folder, (touched, touched))
    return digest


async def test_a_bundle_is_deleted_after_a_day_without_an_object_that_names_it(tmp_path: Path) -> None:
    of_service, of_revision, of_pod, old = (bundle(tmp_path, letter * 64, hours=100) for letter in "abcd")
    built = bundle(tmp_path, "e" * 64, hours=23)
    async with housekeeping(
        tmp_path,
        (kinds.SERVICE, obj(kinds.SERVICE, "hello", {"template": {"spec": running(of_service)}})),
        (kinds.REVISION, obj(kinds.REVISION, "hello-00001", running(of_revision))),
        (kinds.POD, obj(kinds.POD, "hello-00001-x", running(of_pod))),
    ) as keeping:
        await keeping.collect()

    kept = {place.name for place in (tmp_path / "bundles").iterdir()}
    assert kept == {of_service, of_revision, of_pod, built}
    assert old not in kept


async def test_the_disk_usage_is_measured_by_place(tmp_path: Path) -> None:
    bundle(tmp_path, "a" * 64, hours=1)
    (tmp_path / "tidegate.log").write_text("x" * 50_000)
    async with housekeeping(tmp_path) as keeping:
        await keeping.measure()

        assert {"bundles", "tidegate.log", "state.db"} <= keeping.usage.keys()
        assert keeping.usage["tidegate.log"] == usage(tmp_path / "tidegate.log") >= 50_000
        assert keeping.usage["bundles"] >= 10_000


async def test_the_state_of_parts_and_disk_is_one_object_and_figures(tmp_path: Path) -> None:
    async def others() -> bytes:
        return b"others 1\n"

    parts = {name: Health(name) for name in ("store", "node")}
    parts["store"].failed(OSError(28, "No space left on device"))
    async with housekeeping(tmp_path) as keeping:
        await keeping.measure()
        statusz = Statusz(parts, keeping, Settings(tmp_path), others)

        found, figures = statusz.object(), (await statusz.figures()).decode()

    states = [(part["name"], part["state"], part["restarts"], part["lastError"]) for part in found["parts"]]
    assert states == [("store", "failing", 0, "no space left on device"), ("node", "running", 0, "")]
    assert found["disk"]["free"] <= found["disk"]["total"]
    assert figures.startswith("others 1\n")
    assert 'tidegate_part_up{part="store"} 0.0' in figures
    assert 'tidegate_part_up{part="node"} 1.0' in figures
    assert 'tidegate_disk_used_bytes{place="state.db"}' in figures


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (840 * 2**20, "840 MiB"), (3 * 2**40, "3.0 TiB")],
)
def test_bytes_are_readable(count: int, text: str) -> None:
    assert readable(count) == text


@pytest.mark.needs("skopeo", "root")
async def test_an_image_is_deleted_by_its_age_unless_an_object_names_it(tmp_path: Path) -> None:
    store = ImageStore(Settings(tmp_path).images)
    for name in ("old", "named"):
        layout = images.build(tmp_path / f"{name}-layout", f"{name}:v1", [images.Entry("a", name.encode())])
        (loaded,) = await loading.load(store, layout.folder)
        before = (RealClock().wall() - timedelta(days=3)).timestamp()
        os.utime(store.images / loaded.id, (before, before))
    left = store.folder / "work" / "killed"
    left.mkdir(parents=True)
    (left / "work.json").write_text('{"image": "x", "owner": [1, 1], "started": 0}')
    limits = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"image-maximum-gc-age": "48h"}}
    metadata = {"name": "config-images", "namespace": SYSTEM_NAMESPACE}

    async with housekeeping(
        tmp_path,
        (kinds.CONFIG_MAP, {**limits, "metadata": metadata}),
        (kinds.POD, obj(kinds.POD, "app", {"containers": [{"name": "app", "image": "named:v1"}]})),
    ) as keeping:
        await keeping.collect_images()
        await keeping.measure()

    assert [image.names for image in store.all_images()] == [("docker.io/library/named:v1",)]
    assert not left.exists()
    assert keeping.usage["images"] >= store.size > 0


async def test_images_are_not_collected_before_the_first_one(tmp_path: Path) -> None:
    async with housekeeping(tmp_path) as keeping:
        await keeping.collect_images()

    assert not (tmp_path / "images").exists()
