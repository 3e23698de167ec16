# SPDX-License-Identifier: Apache-2.0
"""The effect of a DELETE on an object. Pure.

| object | finalizers left | grace | effect |
| --- | --- | --- | --- |
| any | none | 0 s | it is removed |
| any | some | any | it is marked, and removed with the last finalizer |
| a Pod bound to a node | none | more than 0 s | it is marked; the node agent deletes it again with grace 0 |
| a Namespace | any | any | it is marked, and `upkeep/namespaces.py` removes it once it is empty |

Propagation Foreground and Orphan are finalizers, which the garbage collector removes when its work is done. Rule:
k8s.io/apiserver registry/rest/delete.go and registry/generic/registry/store.go.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from tidegate.model.conditions import timestamp
from tidegate.model.kinds import NAMESPACE, POD, Kind
from tidegate.model.objects import Object, is_deleting, spec, status
from tidegate.model.registry import rejections

Propagation = Literal["Background", "Foreground", "Orphan"]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_POD_GRACE = 30  # seconds; the default of requests and Pods
_LONGEST_GRACE = 365 * 86400  # seconds


@dataclass(frozen=True, slots=True)
class DeleteOptions:
    """The options of a DELETE. `uid` and `resource_version` are preconditions; propagation None leaves the finalizers
    unchanged."""

    uid: str = ""
    resource_version: str = ""
    propagation: Propagation | None = None
    grace_seconds: int | None = None
    dry_run: bool = False


def require_preconditions(kind: Kind, obj: Object, options: DeleteOptions) -> None:
    """Raise `Conflict` if the object is not the one that the caller means."""
    found = obj["metadata"]
    if options.uid and options.uid != found["uid"]:
        raise rejections.wrong_uid(kind, found["name"], options.uid, found["uid"])
    if options.resource_version and options.resource_version != found["resourceVersion"]:
        wanted, current = options.resource_version, found["resourceVersion"]
        versions = f"ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {current}"
        raise rejections.conflict(kind, found["name"], f"Precondition failed: {versions}")


def deleted(kind: Kind, obj: Object, options: DeleteOptions, now: datetime) -> Object | None:
    """The version of an object after a DELETE; None if it is removed."""
    finalizers = _finalizers(obj, options.propagation)
    grace = _grace(kind, obj, options.grace_seconds)
    if not finalizers and grace == 0 and kind is not NAMESPACE:
        return None
    marked = {**obj, "metadata": _marked(obj, finalizers, grace, now)}
    if kind is NAMESPACE:
        marked["status"] = {**status(obj), "phase": "Terminating"}
    return obj if marked == obj else marked


def is_complete(kind: Kind, obj: Object) -> bool:
    """Whether an object is marked for deletion and nothing holds it any more."""
    metadata = obj["metadata"]
    held = metadata.get("finalizers") or metadata.get("deletionGracePeriodSeconds")
    return is_deleting(obj) and not held and kind is not NAMESPACE


def _finalizers(obj: Object, propagation: Propagation | None) -> list[str]:
    present = list(obj["metadata"].get("finalizers") or [])
    if propagation is None:
        return present
    kept = [name for name in present if name not in (FOREGROUND, ORPHAN)]
    return kept + {"Foreground": [FOREGROUND], "Orphan": [ORPHAN], "Background": []}[propagation]


def _grace(kind: Kind, obj: Object, asked: int | None) -> int:
    """Seconds of grace: at most the grace of an earlier deletion."""
    if kind is not POD or not spec(obj).get("nodeName") or status(obj).get("phase") in ("Succeeded", "Failed"):
        return 0
    own = spec(obj).get("terminationGracePeriodSeconds")
    longest = obj["metadata"].get("deletionGracePeriodSeconds", 0) if is_deleting(obj) else _LONGEST_GRACE
    wanted = asked if asked is not None else own if isinstance(own, int) else _POD_GRACE
    return int(min(max(wanted, 0), longest))


def _marked(obj: Object, finalizers: list[str], grace: int, now: datetime) -> Object:
    metadata = dict(obj["metadata"])
    if finalizers:
        metadata["finalizers"] = finalizers
    else:
        metadata.pop("finalizers", None)
    if not is_deleting(obj):
        if metadata.get("generation"):
            metadata["generation"] += 1
        metadata["deletionTimestamp"] = timestamp(now + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
    elif grace < metadata.get("deletionGracePeriodSeconds", 0):
        metadata["deletionTimestamp"] = timestamp(now + timedelta(seconds=grace))
        metadata["deletionGracePeriodSeconds"] = grace
    return metadata
