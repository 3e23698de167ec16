# SPDX-License-Identifier: Apache-2.0
"""What to do with the Pods of a Revision so that it has the wanted number of instances. Pure.

In: the Revision's Pods, the wanted number, the places for Pods that wait. Out: a `PodPlan`. Called by: `instances`,
which does it.

Pods that wait become instances before new ones are created: first those on standby (`standby`), which only have to be
thawed, then prepared ones (`prepared`), whose programs have to start.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from tidegate.controllers.serving import prepared, standby
from tidegate.controllers.serving.deletion_order import surplus_pods
from tidegate.model import pods
from tidegate.model.objects import Object, status, uid


class Places(NamedTuple):
    """How many Pods of a Revision may wait."""

    standby: int
    prepared: int


class PodPlan(NamedTuple):
    """`wake`: Pods that become instances now. `unlabel`: Pods that were woken, and still have the label by which they
    waited. `ended`: Pods that will not run again. `create`, `create_standby` and `prepare`: how many new Pods.
    `starting`: an instance is not ready yet, or is about to start."""

    wake: Sequence[Object]
    unlabel: Sequence[Object]
    freeze: Sequence[Object]
    ended: Sequence[Object]
    delete: Sequence[Object]
    create: int
    create_standby: int
    prepare: int
    starting: bool


def plan(
    living: Sequence[Object], wanted: int, woken: Collection[object], load: Mapping[str, int], places: Places
) -> PodPlan:
    """`living`: the Pods that are not being deleted. `woken`: the uids of Pods that were woken. `load`: requests in
    flight by "ip:port"."""
    ended = [pod for pod in living if status(pod).get("phase") in ("Failed", "Succeeded")]
    running = [pod for pod in living if pod not in ended]
    labelled = [pod for pod in running if not pods.is_instance(pod)]
    unlabel = [pod for pod in labelled if uid(pod) in woken or pods.is_started(pod)]
    waiting = [pod for pod in labelled if pod not in unlabel]
    in_use = [pod for pod in running if pod not in waiting]
    surplus = surplus_pods(in_use, len(in_use) - wanted, load)
    frozen = [pod for pod in waiting if pods.is_standby(pod)]
    thawed = standby.plan(wanted, len(in_use), surplus, frozen, places.standby)
    created = [pod for pod in waiting if pods.is_prepared(pod)]
    started = prepared.plan(thawed.create, created, places.prepared)
    wake = (*thawed.wake, *started.wake)
    return PodPlan(
        wake=wake,
        unlabel=[pod for pod in unlabel if pod not in surplus],
        freeze=thawed.freeze,
        ended=ended,
        delete=(*thawed.delete, *started.delete),
        create=started.create,
        create_standby=thawed.create_standby,
        prepare=started.prepare,
        starting=bool(wake or started.create) or not all(pods.is_ready(pod) for pod in in_use if pod not in surplus),
    )
