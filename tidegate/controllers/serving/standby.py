# SPDX-License-Identifier: Apache-2.0
"""Which instances of a Revision are on standby: started and frozen, so that waking one takes milliseconds. Pure.

In: the Revision, its Pods, and how many instances it needs. Out: a `StandbyPlan`: the Pods to wake, to put on standby
and to delete, and how many to create. Called by: `instances`, which does it.

| instances in use | then |
| --- | --- |
| fewer than wanted | Pods on standby are woken, frozen ones first; new Pods are created for the rest |
| more than wanted | ready ones fill the free places on standby; the others are deleted |
| none, and none wanted | free places on standby are filled with new Pods |

The annotation `tidegate.dev/standby` sets the number of places. A Revision that no traffic is routed to has none.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tidegate.controllers.serving.metadata import places_asked
from tidegate.model import names, pods
from tidegate.model.objects import Object


class StandbyPlan(NamedTuple):
    """What to do with a Revision's Pods. `create`, `create_standby`: how many new ones."""

    wake: Sequence[Object]
    freeze: Sequence[Object]
    delete: Sequence[Object]
    create: int
    create_standby: int


def places(revision: Object) -> int:
    """How many of a Revision's instances may be on standby."""
    return places_asked(revision, names.STANDBY, "0")


def plan(wanted: int, in_use: int, surplus: Sequence[Object], standby: Sequence[Object], places: int) -> StandbyPlan:
    """`wanted` and `in_use` are numbers of instances. `surplus`: the Pods in use that are too many, in the order of
    deletion."""
    missing = max(0, wanted - in_use)
    by_use = sorted(standby, key=_wake_order)
    woken, asleep = by_use[:missing], by_use[missing:]
    free = max(0, places - len(asleep))
    frozen = [pod for pod in reversed(surplus) if pods.is_ready(pod)][:free]
    return StandbyPlan(
        wake=woken,
        freeze=frozen,
        delete=[*(pod for pod in surplus if pod not in frozen), *asleep[places:]],
        create=missing - len(woken),
        create_standby=free - len(frozen) if wanted == 0 else 0,
    )


def _wake_order(pod: Object) -> tuple[bool, str]:
    return not pods.is_frozen(pod), pod["metadata"].get("creationTimestamp", "")
