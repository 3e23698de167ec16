# SPDX-License-Identifier: Apache-2.0
"""OCI layouts of images that hold nothing of an app, for runs of skopeo that change the store itself.

In: layers. Out: a folder that skopeo reads. Called by: `removal.py`, `store_setup.py`.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tidegate.images.records import LayerRecord

_KIND = "application/vnd.oci.image"


def write_layout(path: Path, chain: Sequence[LayerRecord], content: bytes = b"") -> None:
    """An OCI layout of an image with these layers. `content`: of the only layer; without it the layout has no blob of a
    layer, which the store must have."""
    (path / "blobs" / "sha256").mkdir(parents=True)
    if content:
        (path / "blobs" / "sha256" / chain[0].diff_digest.removeprefix("sha256:")).write_bytes(content)
    (path / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    rootfs = {"type": "layers", "diff_ids": [layer.diff_digest for layer in chain]}
    configuration = {"os": "linux", "architecture": "unknown", "config": {}, "rootfs": rootfs}
    layers = [
        {
            "mediaType": f"{_KIND}.layer.v1.tar" if content else f"{_KIND}.layer.v1.tar+gzip",
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
