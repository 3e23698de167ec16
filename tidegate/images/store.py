# SPDX-License-Identifier: Apache-2.0
"""The images on this host: a folder that skopeo fills (containers/storage) and Tidegate reads.

In: the folder of images, `HOME/images`. Out: a `StoredImage` for a reference or an id. Called by: the puller, the
resolver, the runtime (which mounts the layers), the collection, `tidegate image`.

    images/store/overlay-images/images.json      the images, with their names; replaced as a whole by each change
    images/store/overlay-images/ID/              manifests and configuration; its time says when it was used last
    images/store/overlay-layers/layers.json      the layers; each names its parent
    images/store/overlay/LAYER/diff/             the files of a layer
    images/store/overlay-containers/             the working containers of builds (`image_builds`)
    images/loaded/                               the names that `tidegate image load` gave (`loaded.py`)

Reading takes no lock, because skopeo replaces both files atomically. They are read again when they have changed.
"""

import base64
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from tidegate.images import records
from tidegate.images.records import BuildRecord, ImageRecord, LayerRecord, StoredManifest
from tidegate.images.reference import ImageReference, InvalidReference, parse
from tidegate.images.stored import StoredImage, decode

_PLAIN = re.compile(r"[0-9a-z.]+")
_IDENTIFIER = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)
_CONTAINERS = ("containers.json", "volatile-containers.json")
_MANIFEST = "manifest-"


class ImageStore:
    """Reads the store. `folder`: the folder of images."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.images = folder / "store" / "overlay-images"
        self._layers = folder / "store" / "overlay"
        self._seen: tuple[object, object] | None = None
        self._records: dict[str, ImageRecord] = {}
        self._layer_records: dict[str, LayerRecord] = {}
        self._known: dict[str, StoredImage] = {}

    def find(self, reference: str) -> StoredImage | None:
        """The image that a reference names; `sha256:HEX` is an id or a digest. A digest finds the image under any
        name."""
        identifier = _IDENTIFIER.fullmatch(reference)
        if identifier is not None:
            return self.get(identifier[1]) or next(
                (image for image in self.all_images() if reference in image.digests), None
            )
        try:
            wanted = parse(reference)
        except InvalidReference:
            return None
        return next((image for image in self.all_images() if _matches(image, wanted)), None)

    def get(self, image_id: str) -> StoredImage | None:
        self._read()
        record = self._records.get(image_id)
        return self._image(record) if record is not None else None

    def all_images(self) -> list[StoredImage]:
        """Every image; one that was removed by another process a moment ago may be missing already."""
        self._read()
        found = (self._image(record) for record in self._records.values())
        return [image for image in found if image is not None]

    def touch(self, image: StoredImage) -> None:
        """The image is used now, so that the collection keeps it for a while."""
        with suppress(FileNotFoundError):
            os.utime(self.images / image.id)

    def last_used(self, image: StoredImage) -> float:
        """When it was pulled or started last, in seconds since the epoch; 0 if it was removed."""
        with suppress(FileNotFoundError):
            return (self.images / image.id).stat().st_mtime
        return 0.0

    def layer_digests(self) -> set[str]:
        """The digests of all layers, as manifests name them."""
        self._read()
        return {layer.compressed_diff_digest for layer in self._layer_records.values()}

    @property
    def size(self) -> int:
        """Bytes of the files of all layers."""
        self._read()
        return sum(max(layer.diff_size, 0) for layer in self._layer_records.values())

    def unused_layers(self, before: float) -> Iterator[list[LayerRecord]]:
        """The layers that were made before a moment (seconds since the epoch) and belong to no image, e.g. of a pull
        that was killed: chains, the lowest layer first."""
        self._read()
        tops = [record.layer for record in self._records.values()]
        for name in _CONTAINERS:  # of builds that run
            path = self.folder / "store" / "overlay-containers" / name
            tops += [container.layer for container in records.read(path, list[BuildRecord])]
        used = {layer.id for top in tops for layer in self._chain(top)}
        parents = {layer.parent for layer in self._layer_records.values()}
        for layer in list(self._layer_records.values()):
            made = layer.created.timestamp() if layer.created is not None else 0.0
            if layer.id not in used and layer.id not in parents and layer.diff_digest and made <= before:
                yield list(reversed(self._chain(layer.id)))

    def data(self, image_id: str, key: str) -> bytes:
        """A manifest or the configuration of an image. Raises `OSError`."""
        name = key if _PLAIN.fullmatch(key) else "=" + base64.b64encode(key.encode()).decode()
        return (self.images / image_id / name).read_bytes()

    def _read(self) -> None:
        """Read the two files again if one has changed."""
        images, layers = self.images / "images.json", self.folder / "store" / "overlay-layers" / "layers.json"
        seen = (records.version(images), records.version(layers))
        if seen == self._seen:
            return
        layer_records = {record.id: record for record in records.read(layers, list[LayerRecord])}
        image_records = {record.id: record for record in records.read(images, list[ImageRecord])}
        self._known = {}
        self._seen, self._records, self._layer_records = seen, image_records, layer_records

    def _image(self, record: ImageRecord) -> StoredImage | None:
        known = self._known.get(record.id)
        if known is None:
            with suppress(OSError, msgspec.DecodeError):
                known = self._described(record)
        if known is not None:
            self._known[record.id] = known
        return known

    def _described(self, record: ImageRecord) -> StoredImage | None:
        digests = [key.removeprefix(_MANIFEST) for key in record.big_data_digests if key.startswith(_MANIFEST)]
        digests = list(dict.fromkeys([*digests, *([record.digest] if record.digest else ())]))
        manifests = {
            digest: msgspec.json.decode(self.data(record.id, f"{_MANIFEST}{digest}"), type=StoredManifest)
            for digest in digests
        }
        configuration = next((found.config.digest for found in manifests.values() if found.config is not None), None)
        if configuration is None:
            return None
        config, platform = decode(self.data(record.id, configuration))
        indexes = [digest for digest, found in manifests.items() if found.config is None]
        chain = self._chain(record.layer)
        return StoredImage(
            id=record.id,
            digest=[*indexes, record.digest, *digests][0],
            digests=frozenset(digests),
            names=tuple(record.names or ()),
            config=config,
            layers=tuple(self._layers / layer.id / "diff" for layer in chain),
            platform=platform,
            size=sum(max(layer.diff_size, 0) for layer in chain),
        )

    def _chain(self, top: str) -> list[LayerRecord]:
        """A layer and those below it."""
        chain: list[LayerRecord] = []
        while (layer := self._layer_records.get(top)) is not None and len(chain) <= len(self._layer_records):
            chain.append(layer)
            top = layer.parent
        return chain


def _matches(image: StoredImage, wanted: ImageReference) -> bool:
    return wanted.digest in image.digests if wanted.digest else wanted.full in image.names
