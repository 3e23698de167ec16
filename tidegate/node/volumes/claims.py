# SPDX-License-Identifier: Apache-2.0
"""The storage of claims, as objects. Pure.

In: a PersistentVolumeClaim, its StorageClass, its Pods. Out: the PersistentVolume and the status that it gets; why a
Pod cannot use it. Called by: `provisioner.py` and `volumes.py`.
"""

from collections.abc import Iterable
from pathlib import Path

from tidegate.model.indexes import claim_names
from tidegate.model.names import DEFAULT_CLASS, PROVISIONER
from tidegate.model.objects import Key, Object, annotations, is_deleting, key, spec, status, uid

CLASS_NAME = "tidegate"
"""The StorageClass that exists from the first start."""


def default_class() -> Object:
    return {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": CLASS_NAME, "annotations": {DEFAULT_CLASS: "true"}},
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "Immediate",
        "allowVolumeExpansion": True,
    }


def class_of(claim: Object, classes: Iterable[Object]) -> Object | None:
    """The class of a claim: the one that it names, else the newest default class; None if there is none."""
    named = spec(claim).get("storageClassName")
    if named is not None:
        return next((each for each in classes if each["metadata"]["name"] == named), None)
    defaults = [each for each in classes if annotations(each).get(DEFAULT_CLASS) == "true"]
    return max(defaults, key=lambda each: str(each["metadata"]["creationTimestamp"]), default=None)


def volume_name(claim: Object) -> str:
    """The name of the volume of a claim, and of its folder."""
    return f"pvc-{uid(claim)}"


def folder(place: Path, volume: str) -> Path:
    """The folder of a volume. `place`: `Settings.volumes`."""
    return place / "claims" / volume


def desired_volume(claim: Object, storage_class: Object, path: Path) -> Object:
    """The PersistentVolume of a claim."""
    asked, metadata = spec(claim), claim["metadata"]
    reference = {name: metadata[name] for name in ("name", "namespace", "uid")}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": volume_name(claim), "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER}},
        "spec": {
            "capacity": size(claim),
            "accessModes": list(asked.get("accessModes") or ()),
            "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", **reference},
            "hostPath": {"path": str(path), "type": "Directory"},
            "persistentVolumeReclaimPolicy": str(storage_class.get("reclaimPolicy") or "Delete"),
            "storageClassName": storage_class["metadata"]["name"],
            "volumeMode": "Filesystem",
        },
    }


def bound_status(claim: Object) -> Object:
    """The status of a claim that has its volume."""
    return {"phase": "Bound", "accessModes": list(spec(claim).get("accessModes") or ()), "capacity": size(claim)}


def size(claim: Object) -> Object:
    """The noted size."""
    return {"storage": ((spec(claim).get("resources") or {}).get("requests") or {}).get("storage", "0")}


def is_used_by(pod: Object) -> bool:
    """Whether a Pod still uses its claims: it does until its containers have ended for good."""
    return status(pod).get("phase") not in ("Succeeded", "Failed")


def problem(claim: Object | None, name: str, pod: Object, others: Iterable[Object]) -> str:
    """Why a Pod cannot use a claim now; "" if it can. `others`: all Pods that name the claim."""
    if claim is None:
        return f'persistentvolumeclaim "{name}" not found'
    if is_deleting(claim):
        return f'persistentvolumeclaim "{name}" is being deleted'
    if status(claim).get("phase") != "Bound":
        return f'persistentvolumeclaim "{name}" is not bound'
    is_exclusive = "ReadWriteOncePod" in (spec(claim).get("accessModes") or ())
    if is_exclusive and any(uid(other) != uid(pod) and is_used_by(other) for other in others):
        return f'persistentvolumeclaim "{name}" has the access mode ReadWriteOncePod and is used by another Pod'
    return ""


def claims_of(pod: Object) -> list[Key]:
    """The claims that a Pod names."""
    return [Key(key(pod).namespace, name) for name in claim_names(pod)]
