# SPDX-License-Identifier: Apache-2.0
"""Removes images, and layers that belong to none.

In: the store, an image. Out: a store without it; layers that another image has stay. Called by: the collection,
`tidegate image rm`.

skopeo removes a layer only with its image. Layers that a killed pull has left behind get an image for a moment: its
manifest names layers that the store has, so that nothing is copied, and its removal removes them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.images import loaded, work_folder
from tidegate.images.skopeo import Skopeo
from tidegate.images.store import ImageStore, LayerRecord
from tidegate.images.stored import StoredImage
from tidegate.kit import files

_NAME = "localhost/tidegate-unused:layers"
_KIND = "application/vnd.oci.image"


async def remove(store: ImageStore, image: StoredImage) -> None:
    """Remove an image with all its names. Raises `ImageError`."""
    skopeo = Skopeo(store.folder)
    with work_folder.opened(store.folder, image.id) as work:
        files.write_whole(work.registries, b"")
        await skopeo.run(work, "delete", skopeo.by_id(image.id))
    loaded.forget(store, image.id)


async def remove_layers(store: ImageStore, chain: Sequence[LayerRecord]) -> None:
    """Remove layers that belong to no image: a chain, the lowest layer first. Raises `ImageError`."""
    skopeo = Skopeo(store.folder)
    with work_folder.opened(store.folder, _NAME) as work:
        files.write_whole(work.registries, b"")
        layout = work.path / "layout"
        _write_layout(layout, chain)
        await skopeo.run(work, "copy", "--quiet", f"oci:{layout}", skopeo.stored(_NAME))
        await skopeo.run(work, "delete", skopeo.stored(_NAME))


def _write_layout(path: Path, chain: Sequence[LayerRecord]) -> None:
    """An OCI layout of an image with these layers, without their blobs."""
    (path / "blobs" / "sha256").mkdir(parents=True)
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    rootfs = {"type": "layers", "diff_ids": [layer.diff_digest for layer in chain]}
    configuration = {"os": "linux", "architecture": "unknown", "config": {}, "rootfs": rootfs}
    layers = [
        {
            "mediaType": f"{_KIND}.layer.v1.tar+gzip",
            "digest": layer.compressed_diff_digest or layer.diff_digest,
            "size": layer.compressed_size,
        }
        for layer in chain
    ]
    config = _blob(path, configuration, f"{_KIND}.config.v1+json")
    kind = f"{_KIND}.manifest.v1+json"
    manifest = _blob(path, {"schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers}, kind)
    (path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}))


def _blob(path: Path, content: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    encoded = json.dumps(content).encode()
    digest = hashlib.sha256(encoded).hexdigest()
    (path / "blobs" / "sha256" / digest).write_bytes(encoded)
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(encoded)}
