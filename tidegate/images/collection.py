# SPDX-License-Identifier: Apache-2.0
"""Removes images that nothing names any more, by age and by the use of the disk.

In: the store, the objects that may name images, config-images, the time. Out: the names of removed images. Called by:
`housekeeping.py`.

| an image | is removed |
| --- | --- |
| that a Pod, a Revision or a template names, by any name or digest | never |
| that was used within `image-minimum-gc-age` | never |
| that was loaded from a file within a day | never: no registry has it |
| unused for `image-maximum-gc-age` | always |
| any other | if the disk is above the high threshold, until it is at the low one; longest unused first |

Rule: pkg/kubelet/images/image_gc_manager.go. An image that a round finds in use counts as used at that time. Layers of
no image, which a pull that was interrupted leaves behind, are removed after an hour, or when the disk is full.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog

from tidegate.images import loaded, removal, work_folder
from tidegate.images.errors import ImageError
from tidegate.images.store import ImageStore
from tidegate.images.stored import StoredImage
from tidegate.kit import disk
from tidegate.model.config import ImagesConfig
from tidegate.model.objects import Object, spec

_LOADED_SECONDS = 24 * 3600.0  # the same as for bundles
_LAYERS_SECONDS = 3600.0  # a pull that was interrupted may be tried again, and then uses the layers that it has
_IDENTIFIERS = ("imageID", "imageDigest", "image")
_FORM = "docker-pullable://"  # before an imageID, from old runtimes


@dataclass(frozen=True, slots=True)
class ImageUse:
    """An image that nothing names. `used`: seconds since the epoch."""

    image: StoredImage
    used: float
    is_loaded: bool = False


_log = structlog.get_logger("images")

Fullness = Callable[[ImageStore], float]
"""How full the disk of a store is, in percent."""


def percent_used(store: ImageStore) -> float:
    space = disk.space(store.folder)
    return 100.0 * (space.total - space.free) / space.total


def named(obj: Object) -> Iterator[str]:
    """The images that an object names: a Pod, a Revision, or an object with a template. The images in its status count
    too, because a tag may have moved since."""
    wanted = spec(obj)
    for holder in (wanted, (wanted.get("template") or {}).get("spec") or {}):
        for field in ("containers", "initContainers"):
            yield from (str(container.get("image") or "") for container in holder.get(field) or ())
    status = obj.get("status") or {}
    for field in ("containerStatuses", "initContainerStatuses"):
        for entry in status.get(field) or ():
            yield from (str(entry.get(key) or "").removeprefix(_FORM) for key in _IDENTIFIERS)


def used_images(store: ImageStore, names: Iterable[str]) -> set[str]:
    """The ids of the images that these names mean."""
    found = (store.find(name) for name in set(names) if name)
    return {image.id for image in found if image is not None}


def unneeded(
    unused: Iterable[ImageUse], config: ImagesConfig, now: float
) -> tuple[list[StoredImage], list[StoredImage]]:
    """The images to remove because of their age, and the ones to remove if the disk is full, in order."""
    aged: list[StoredImage] = []
    removable: list[StoredImage] = []
    for use in sorted(unused, key=lambda use: use.used):
        age = now - use.used
        if age < config.image_minimum_gc_age or (use.is_loaded and age < _LOADED_SECONDS):
            continue
        is_aged = 0 < config.image_maximum_gc_age < age
        (aged if is_aged else removable).append(use.image)
    return aged, removable


async def collect(
    store: ImageStore, names: Iterable[str], config: ImagesConfig, now: float, *, fullness: Fullness = percent_used
) -> list[str]:
    """One round. Returns the names of the removed images."""
    used = used_images(store, names)
    unused = []
    for image in store.all_images():
        if image.id in used:
            store.touch(image)
        else:
            unused.append(ImageUse(image, store.last_used(image), loaded.any_name(store, image)))
    aged, removable = unneeded(unused, config, now)
    removed = [name for image in aged for name in await _removed(store, image)]
    is_full = fullness(store) >= config.image_gc_high_threshold_percent
    if not work_folder.running(store.folder):  # the layers of a pull belong to no image until it ends
        for chain in list(store.unused_layers(now if is_full else now - _LAYERS_SECONDS)):
            with _logged(layer=chain[-1].id):
                await removal.remove_layers(store, chain)
    for image in removable if is_full else ():
        if fullness(store) <= config.image_gc_low_threshold_percent:
            break
        removed += await _removed(store, image)
    return removed


async def _removed(store: ImageStore, image: StoredImage) -> Sequence[str]:
    """Remove an image, unless e.g. a build uses it. Returns its names."""
    with _logged(image=image.id):
        await removal.remove(store, image)
        return image.names or (image.digest,)
    return ()


@contextmanager
def _logged(**what: str) -> Iterator[None]:
    """One failure does not keep others from being removed."""
    try:
        yield
    except ImageError as error:
        _log.warning("not removed", error=str(error), **what)
