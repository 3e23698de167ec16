# SPDX-License-Identifier: Apache-2.0
"""The columns of claims, volumes and storage classes. Pure. Rule: k8s.io/kubernetes pkg/printers/internalversion."""

from collections.abc import Callable
from datetime import datetime

from tidegate.model.columns import AGE, NAME, Cell, Column
from tidegate.model.names import DEFAULT_CLASS
from tidegate.model.objects import Object, annotations, is_deleting, spec, status

_SHORT = {"ReadWriteOnce": "RWO", "ReadOnlyMany": "ROX", "ReadWriteMany": "RWX", "ReadWriteOncePod": "RWOP"}


def _cell(find: Callable[[Object], object]) -> Cell:
    return lambda obj, now: str(find(obj) or "")


def _phase(obj: Object) -> str:
    return "Terminating" if is_deleting(obj) else str(status(obj).get("phase") or "")


def _modes(obj: Object) -> str:
    found = status(obj).get("accessModes") if "resources" in spec(obj) else spec(obj).get("accessModes")
    return ",".join(_SHORT.get(mode, mode) for mode in found or ())


def _claim(volume: Object) -> str:
    reference = spec(volume).get("claimRef") or {}
    return f"{reference.get('namespace')}/{reference.get('name')}" if reference else ""


def _class_name(obj: Object, now: datetime) -> str:
    mark = " (default)" if annotations(obj).get(DEFAULT_CLASS) == "true" else ""
    return f"{obj['metadata']['name']}{mark}"


_CLASS = Column("StorageClass", "string", _cell(lambda obj: spec(obj).get("storageClassName")))
_ATTRIBUTES = Column("VolumeAttributesClass", "string", lambda obj, now: "<unset>")
_MODE = Column("VolumeMode", "string", _cell(lambda obj: spec(obj).get("volumeMode")), 1)

CLAIM = (
    NAME,
    Column("Status", "string", _cell(_phase)),
    Column("Volume", "string", _cell(lambda obj: spec(obj).get("volumeName"))),
    Column("Capacity", "string", _cell(lambda obj: (status(obj).get("capacity") or {}).get("storage"))),
    Column("Access Modes", "string", _cell(_modes)),
    _CLASS,
    _ATTRIBUTES,
    AGE,
    _MODE,
)
VOLUME = (
    NAME,
    Column("Capacity", "string", _cell(lambda obj: (spec(obj).get("capacity") or {}).get("storage"))),
    Column("Access Modes", "string", _cell(_modes)),
    Column("Reclaim Policy", "string", _cell(lambda obj: spec(obj).get("persistentVolumeReclaimPolicy"))),
    Column("Status", "string", _cell(_phase)),
    Column("Claim", "string", _cell(_claim)),
    _CLASS,
    _ATTRIBUTES,
    Column("Reason", "string", _cell(lambda obj: status(obj).get("reason"))),
    AGE,
    _MODE,
)
STORAGE_CLASS = (
    Column("Name", "string", _class_name, format="name"),
    Column("Provisioner", "string", _cell(lambda obj: obj.get("provisioner"))),
    Column("ReclaimPolicy", "string", _cell(lambda obj: obj.get("reclaimPolicy"))),
    Column("VolumeBindingMode", "string", _cell(lambda obj: obj.get("volumeBindingMode"))),
    Column("AllowVolumeExpansion", "boolean", lambda obj, now: bool(obj.get("allowVolumeExpansion"))),
    AGE,
)
