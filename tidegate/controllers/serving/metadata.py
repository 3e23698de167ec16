# SPDX-License-Identifier: Apache-2.0
"""Labels and annotations that pass from a parent to its children, and values in them. Pure.

In: a parent. Out: what its child carries. Called by: the reconcilers of this folder.
"""

from collections.abc import Mapping

from tidegate.model import names
from tidegate.model.objects import Object, annotations, labels, uid
from tidegate.model.text import durations, literals

_NOT_PASSED_ON = (names.LAST_PINNED, names.NO_GC, names.ROUTING_STATE_MODIFIED, names.ROUTES)


def without(mapping: Mapping[str, str], *names: str) -> dict[str, str]:
    """A copy without these names."""
    return {name: value for name, value in mapping.items() if name not in names}


def seconds(asked: str | None, default: float) -> float:
    """The duration in an annotation. A value that is no duration counts as absent: anybody may write annotations."""
    try:
        return durations.seconds(asked) if asked else default
    except ValueError:
        return default


def places_asked(revision: Object, annotation: str, default: str) -> int:
    """How many Pods a Revision keeps waiting, by an annotation. A Revision that no traffic is routed to keeps none."""
    if labels(revision).get(names.ROUTING_STATE) != "active":
        return 0
    try:
        return max(0, literals.whole(annotations(revision).get(annotation, default)))
    except ValueError:  # admission rejects such a value; an older version may have stored it
        return 0


def revision_child_labels(revision: Object) -> dict[str, str]:
    """The labels of a Revision's PodAutoscaler and Pods."""
    own = without(labels(revision), names.ROUTE, names.ROUTING_STATE)
    name = revision["metadata"]["name"]
    return {names.APP: name, **own, names.REVISION: name, names.REVISION_UID: uid(revision)}


def revision_child_annotations(revision: Object) -> dict[str, str]:
    """The annotations that a Revision passes on to its PodAutoscaler and Pods."""
    return without(annotations(revision), *_NOT_PASSED_ON)
