# SPDX-License-Identifier: Apache-2.0
"""The rules of claims, volumes and storage classes. Texts: k8s.io/kubernetes pkg/apis/core/validation and
pkg/apis/storage/validation."""

from collections.abc import Iterator

from tidegate.model.causes import forbidden, invalid, required, unsupported
from tidegate.model.errors import Cause
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object
from tidegate.model.text import quantities

_MODES = ("ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod")
_NOT_SUPPORTED = ("selector", "dataSource", "dataSourceRef", "volumeAttributesClassName")
_VALUES = (
    ("reclaimPolicy", ("Delete", "Retain")),
    ("volumeBindingMode", ("Immediate", "WaitForFirstConsumer")),
)
_OF_CLASS = ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode")


def claim(write: ObjectWrite) -> Iterator[Cause]:
    spec = write.new.get("spec") or {}
    if write.old is not None:
        yield from _unchanged(spec, write.old.get("spec") or {})
        return
    modes = spec.get("accessModes") or ()
    if not modes:
        yield required("spec.accessModes")
    yield from (unsupported(mode, "spec.accessModes", _MODES) for mode in modes if mode not in _MODES)
    if "ReadWriteOncePod" in modes and len(modes) > 1:
        why = "may not use ReadWriteOncePod with other access modes"
        yield forbidden("spec.accessModes", why)
    size = _size(spec)
    if size is None:
        yield required("spec.resources[storage]")
    elif quantities.parse(size).amount <= 0:
        yield invalid(size, "spec.resources[storage]", "must be greater than zero")
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        yield unsupported(spec["volumeMode"], "spec.volumeMode", ("Filesystem",))
    yield from (forbidden(f"spec.{field}", "is not supported") for field in _NOT_SUPPORTED if spec.get(field))


def _unchanged(spec: Object, old: Object) -> Iterator[Cause]:
    """The size may grow; the class and the volume may be set once."""
    new_size, old_size = (quantities.parse(_size(each) or "0").amount for each in (spec, old))
    if new_size < old_size:
        yield forbidden("spec.resources.requests.storage", "field can not be less than previous value")
    once = {field: spec.get(field) for field in ("volumeName", "storageClassName") if not old.get(field)}
    if {**spec, **once, "resources": 0} != {**old, **once, "resources": 0}:
        why = (
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
        )
        yield forbidden("spec", why)


def _size(spec: Object) -> str | None:
    size = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    return None if size is None else str(size)


def storage_class(write: ObjectWrite) -> Iterator[Cause]:
    new, old = write.new, write.old
    if not new.get("provisioner"):
        yield required("provisioner")
    for field, known in _VALUES:
        if new.get(field) not in (None, *known):
            yield unsupported(str(new[field]), field, known)
    if old is not None:
        for field in _OF_CLASS:
            if (new.get(field) or None) != (old.get(field) or None):
                yield forbidden(field, "updates to this field are forbidden.")
