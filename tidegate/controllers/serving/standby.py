# SPDX-License-Identifier: Apache-2.0
"""Which instances of a revision stand by: started and frozen, so that waking one takes milliseconds. Pure.

In: the revision, its Pods, how many are to be in use. Out: a `Plan`: who is woken, put on standby or deleted, and how
many are made. Who: `instances`, which does it.

| in use | then |
| --- | --- |
| fewer than wanted | who stands by is woken, the frozen first; the rest is made |
| more than wanted | who was ready goes on standby while places are free there; the others are deleted |
| none, and none wanted | free places on standby are filled with new Pods |

There are as many places as the annotation `tidegate.dev/standby` says, and none once no traffic leads to the revision.
"""

from collections.abc import Sequence
from typing import NamedTuple

from tidegate.model import names, pods
from tidegate.model.objects import Object, annotations, labels
from tidegate.model.text import literals


class Plan(NamedTuple):
    """What is to become of a revision's Pods. `make`, `make_standby`: how many new ones."""

    wake: Sequence[Object]
    rest: Sequence[Object]
    delete: Sequence[Object]
    make: int
    make_standby: int


def places(revision: Object) -> int:
    """How many of its instances are to stand by."""
    if labels(revision).get(names.ROUTING_STATE) != "active":
        return 0
    try:
        return max(0, literals.whole(annotations(revision).get(names.STANDBY, "0")))
    except ValueError:  # admission refuses it
        return 0


def plan(wanted: int, in_use: int, surplus: Sequence[Object], standing_by: Sequence[Object], kept: int) -> Plan:
    """`wanted` and `in_use`: how many; `surplus`: who of those in use is too many, first who can be missed best;
    `kept`: how many places there are."""
    missing = max(0, wanted - in_use)
    by_use = sorted(standing_by, key=_is_last)
    woken, asleep = by_use[:missing], by_use[missing:]
    free = max(0, kept - len(asleep))
    rested = [pod for pod in reversed(surplus) if pods.is_ready(pod)][:free]
    return Plan(
        wake=woken,
        rest=rested,
        delete=[*(pod for pod in surplus if pod not in rested), *asleep[kept:]],
        make=missing - len(woken),
        make_standby=free - len(rested) if wanted == 0 else 0,
    )


def _is_last(pod: Object) -> tuple[bool, str]:
    return not pods.is_frozen(pod), pod["metadata"].get("creationTimestamp", "")
