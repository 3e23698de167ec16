# SPDX-License-Identifier: Apache-2.0
"""What becomes of an object that is to be deleted. Pure.

| finalizers left | grace | then |
| --- | --- | --- |
| none | 0 | it is removed |
| some | any | it is marked, and removed with the last finalizer |
| none | > 0 (a Pod bound to a node) | it is marked; the node agent deletes it again with grace 0 |
| a Namespace's | any | it is marked, and removed by `namespaces.py` once it is empty |

Propagation Foreground and Orphan are finalizers that the garbage collector takes away when its work is done. Rule:
k8s.io/apiserver registry/rest/delete.go and registry/generic/registry/store.go.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from tidegate.model.conditions import timestamp
from tidegate.model.kinds import NAMESPACE, POD, Kind
from tidegate.model.objects import Object, is_deleting, spec, status
from tidegate.model.registry import refusals

Propagation = Literal["Background", "Foreground", "Orphan"]

FOREGROUND = "foregroundDeletion"
ORPHAN = "orphan"
_POD_GRACE = 30  # seconds, where neither the request nor the Pod says otherwise
_LONGEST_GRACE = 365 * 86400


@dataclass(frozen=True, slots=True)
class Options:
    """What a DELETE may ask for. `uid` and `resource_version` are preconditions; propagation None leaves the finalizers
    as they are."""

    uid: str = ""
    resource_version: str = ""
    propagation: Propagation | None = None
    grace_seconds: int | None = None
    dry_run: bool = False


def require(kind: Kind, obj: Object, options: Options) -> None:
    """Raise `Conflict` unless the object meets the preconditions."""
    found = obj["metadata"]
    if options.uid and options.uid != found["uid"]:
        raise refusals.wrong_uid(kind, found["name"], options.uid, found["uid"])
    if options.resource_version and options.resource_version != found["resourceVersion"]:
        wanted, current = options.resource_version, found["resourceVersion"]
        versions = f"ResourceVersion in precondition: {wanted}, ResourceVersion in object meta: {current}"
        raise refusals.conflict(kind, found["name"], f"Precondition failed: {versions}")


def deleted(kind: Kind, obj: Object, options: Options, now: datetime) -> Object | None:
    """The next version of an object for which a DELETE has come; None: it is gone."""
    finalizers = _finalizers(obj, options.propagation)
    grace = _grace(kind, obj, options.grace_seconds)
    if not finalizers and grace == 0 and kind is not NAMESPACE:
        return None
    marked = {**obj, "metadata": _marked(obj, finalizers, grace, now)}
    if kind is NAMESPACE:
        marked["status"] = {**status(obj), "phase": "Terminating"}
    return obj if marked == obj else marked


def is_over(kind: Kind, obj: Object) -> bool:
    """Whether nothing holds an object any more whose deletion has begun."""
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
    """Seconds of grace: never longer than what an earlier deletion gave."""
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
