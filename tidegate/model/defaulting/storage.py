# SPDX-License-Identifier: Apache-2.0
"""The defaults of claims and storage classes, as in Kubernetes."""

from tidegate.model.names import CLAIM_PROTECTION, VOLUME_PROTECTION
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object


def claim(write: ObjectWrite) -> None:
    """A new claim is kept while a Pod uses it (admission plugin StorageObjectInUseProtection)."""
    if write.old is not None:
        return
    _add_finalizer(write.new["metadata"], CLAIM_PROTECTION)
    write.new.setdefault("spec", {}).setdefault("volumeMode", "Filesystem")
    write.new["status"] = {"phase": "Pending"}


def volume(write: ObjectWrite) -> None:
    """A new volume is kept while its claim exists."""
    if write.old is None:
        _add_finalizer(write.new["metadata"], VOLUME_PROTECTION)


def storage_class(write: ObjectWrite) -> None:
    write.new.setdefault("reclaimPolicy", "Delete")
    write.new.setdefault("volumeBindingMode", "Immediate")


def _add_finalizer(metadata: Object, finalizer: str) -> None:
    metadata["finalizers"] = list(dict.fromkeys([*(metadata.get("finalizers") or ()), finalizer]))
