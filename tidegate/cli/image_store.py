# SPDX-License-Identifier: Apache-2.0
"""The image store of a state folder, for `tidegate image`: its files. A running Tidegate says which images are in
use, and which registries have mirrors.

In: the state folder. Out: names, digests, a listing as JSON; a `CommandFailure` for an `ImageError`. Called by:
`tidegate image`, which imports it when a command runs.
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tidegate.cli import connection, failures
from tidegate.cli.progress import ShowLine
from tidegate.images import collection, export, loading, removal, work_folder
from tidegate.images.errors import ImageError
from tidegate.images.puller import ALWAYS, Puller
from tidegate.images.reference import parse
from tidegate.images.registry import Registry
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.kit import disk
from tidegate.model import errors, kinds, names
from tidegate.model.conditions import timestamp
from tidegate.model.config import Configs, ImagesConfig
from tidegate.model.objects import Key, Object
from tidegate.settings import Settings

_NAMING = (kinds.SERVICE, kinds.CONFIGURATION, kinds.REVISION, kinds.POD)
_REPORT_EVERY = 1.0


async def load(data_dir: Path | None, path: Path, name: str) -> Sequence[str]:
    """Returns the names of the loaded images."""
    with _failing():
        loaded = await loading.load(_store(data_dir), path, name)
    return list(dict.fromkeys(name for image in loaded for name in image.names))


async def pull(data_dir: Path | None, name: str, report: ShowLine) -> str:
    """Returns the name with the digest."""
    store = _store(data_dir)
    config = await config_of(data_dir)
    with _failing():
        report(f"pulling {name}")
        reporting = asyncio.create_task(_report(store, name, report), name="progress")
        try:
            image = await Puller(store, lambda: config).pull(name, ALWAYS)
        finally:
            reporting.cancel()
        return parse(name).at(image.digest)


async def listing(data_dir: Path | None) -> Any:
    """Images and running pulls, as JSON. `inUse` is null while Tidegate does not run."""
    store = _store(data_dir)
    with _failing():
        used = await _used(data_dir, store)
        images = sorted(store.all_images(), key=lambda image: (image.names, image.id))
        pulls = work_folder.running(store.folder)
    return {
        "images": [
            {
                "names": list(image.names),
                "digest": image.digest,
                "id": image.id,
                "size": image.size,
                "used": _time(store.last_used(image)),
                "inUse": None if used is None else image.id in used,
            }
            for image in images
        ],
        "pulls": [
            {"image": pull.image, "started": _time(pull.started), "done": pull.done, "total": pull.total}
            for pull in pulls
        ],
    }


async def remove(data_dir: Path | None, wanted: Sequence[str]) -> Sequence[str]:
    """Returns the names of the removed images. Removes none if one does not exist or is in use."""
    store = _store(data_dir)
    with _failing():
        used = await _used(data_dir, store) or set()
        images = {image.id: image for image in (_found(store, name) for name in wanted)}
        for image in images.values():
            if image.id in used:
                raise failures.CommandFailure(f"{_shown(image)} is in use: delete the services and Pods that name it")
        for image in images.values():
            await removal.remove(store, image)
    return [_shown(image) for image in images.values()]


async def save(data_dir: Path | None, name: str, path: Path) -> None:
    """Write an OCI archive."""
    store = _store(data_dir)
    with _failing():
        await export.save(store, _found(store, name), parse(name), path)


async def push(data_dir: Path | None, name: str, target: str) -> str:
    """Copy an image to a registry under the name `target`; returns that name with the digest."""
    store, config = _store(data_dir), await config_of(data_dir)
    with _failing():
        reference = parse(target)
        digest = await export.push(store, Registry(store.folder, lambda: config), _found(store, name), reference)
        return reference.at(digest)


def amount(done: int, total: int) -> str:
    """The progress of a pull; a total of 0 is unknown."""
    return f"{disk.readable(done)} of {disk.readable(total)}" if total else disk.readable(done)


async def _report(store: ImageStore, name: str, report: ShowLine) -> None:
    before = 0
    while True:
        await asyncio.sleep(_REPORT_EVERY)
        for each in work_folder.running(store.folder):
            if each.image == parse(name).full and each.done != before:
                before = each.done
                report(f"pulling {name}: {amount(each.done, each.total)}")


async def _used(data_dir: Path | None, store: ImageStore) -> set[str] | None:
    """The ids of the images that objects name; None if Tidegate does not run."""
    with suppress(failures.CommandFailure):
        async with connection.connected(data_dir) as cluster:
            found = [obj for kind in _NAMING for obj in (await cluster.list(kind)).items]
            return collection.used_images(store, [name for obj in found for name in collection.named(obj)])
    return None


async def config_of(data_dir: Path | None) -> ImagesConfig:
    """config-images; its defaults if Tidegate does not run."""
    maps: dict[str, Object] = {}
    with suppress(failures.CommandFailure, errors.NotFound):
        async with connection.connected(data_dir) as cluster:
            found = await cluster.get(kinds.CONFIG_MAP, Key(names.SYSTEM_NAMESPACE, "config-images"))
            maps["config-images"] = found.get("data") or {}
    return Configs.parse(maps).images


def _found(store: ImageStore, name: str) -> StoredImage:
    image = store.find(name) or store.get(name)
    if image is None:
        raise failures.CommandFailure(f"there is no image {name} on this host")
    return image


def _shown(image: StoredImage) -> str:
    return ", ".join(image.names) or image.digest


def _store(data_dir: Path | None) -> ImageStore:
    return ImageStore(Settings(connection.home(data_dir)).images)


def _time(seconds: float) -> str:
    return timestamp(datetime.fromtimestamp(seconds, UTC))


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except ImageError as error:
        raise failures.CommandFailure(str(error)) from error
