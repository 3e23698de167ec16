# SPDX-License-Identifier: Apache-2.0
"""A Pod's status from the state of its containers. Pure.

In: a Pod and a `ContainerView` of each container. Out: the complete `status`; the writer compares it with the present
one and leaves out a write that would change nothing. Called by: `pod_statuses.py`, `binder.py`.

Rule: k8s.io/kubernetes pkg/kubelet/status/generate.go and kubelet_pods.go.

| containers | phase |
| --- | --- |
| none has run yet | Pending |
| one runs or will be started again | Running |
| all ended with code 0 and will not be started again | Succeeded |
| all ended and will not be started again | Failed |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import NamedTuple

from tidegate.model import names
from tidegate.model.conditions import Conditions, condition, timestamp
from tidegate.model.objects import Object, status
from tidegate.model.pods import FROZEN, PROBES_FAILING
from tidegate.node.port_lease import LOOPBACK
from tidegate.node.runtime import ContainerExit

_CONDITIONS = ("PodScheduled", "Initialized", "ContainersReady")


class StandbyState(Enum):
    """NONE: in use; WANTED: to be frozen once it is ready and has no request; FROZEN: frozen."""

    NONE = ""
    WANTED = "GoingToStandby"
    FROZEN = FROZEN


_MESSAGES = {
    StandbyState.WANTED: "The instance gets no requests and is frozen once it is ready and has none.",
    StandbyState.FROZEN: "The instance is frozen until it is needed.",
}


class Waiting(NamedTuple):
    """The container does not run: it is about to start, or it cannot start."""

    reason: str = "ContainerCreating"
    message: str = ""


STARTING = Waiting()


class Running(NamedTuple):
    """The container runs."""

    id: str
    since: datetime


class Terminated(NamedTuple):
    """The container ended. `message`: why, and the last lines of its log."""

    id: str
    exit: ContainerExit
    message: str
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container. `last`: the end of its run before this one; `final`: it will not be started again; `problem`: why
    it is not ready."""

    name: str
    image: str
    state: Waiting | Running | Terminated = STARTING
    last: Terminated | None = None
    ready: bool = False
    started: bool = False
    restarts: int = 0
    final: bool = False
    problem: str = ""


def pod_status(
    pod: Object,
    containers: Sequence[ContainerView],
    now: datetime,
    standby: StandbyState = StandbyState.NONE,
    address: str = LOOPBACK,
) -> Object:
    """The status as a patch: None removes a field. A frozen Pod has ready containers and is not ready itself.
    `address`: of the instance."""
    phase = _phase(containers)
    before = status(pod)
    frozen = standby is StandbyState.FROZEN
    return {
        "phase": phase,
        "reason": "Standby" if frozen else None,
        "message": _MESSAGES[standby] if frozen else None,
        "conditions": _conditions(pod, containers, phase, now, standby),
        "hostIP": LOOPBACK,
        "hostIPs": [{"ip": LOOPBACK}],
        "podIP": address,
        "podIPs": [{"ip": address}],
        "startTime": before.get("startTime") or timestamp(now),
        "containerStatuses": [_container(container) for container in containers],
        "qosClass": before.get("qosClass") or _quality(pod),
    }


def unscheduled_status(pod: Object, lacking: str, now: datetime) -> Object:
    """The status while no node has room for the Pod."""
    conditions = Conditions(pod, ("PodScheduled",), now)
    conditions.mark_false("PodScheduled", "Unschedulable", lacking)
    return {"phase": "Pending", "conditions": conditions.conditions(), "qosClass": _quality(pod)}


def _phase(containers: Sequence[ContainerView]) -> str:
    if all(container.final for container in containers):
        succeeded = all(isinstance(view.state, Terminated) and view.state.exit.code == 0 for view in containers)
        return "Succeeded" if succeeded else "Failed"
    ran = all(isinstance(view.state, Running | Terminated) or view.last is not None for view in containers)
    return "Running" if ran else "Pending"


def _conditions(
    pod: Object, containers: Sequence[ContainerView], phase: str, now: datetime, standby: StandbyState
) -> list[Object]:
    stands_by_or_did = standby is not StandbyState.NONE or condition(pod, names.AWAKE)["status"] != "Unknown"
    conditions = Conditions(pod, (*_CONDITIONS, names.AWAKE) if stands_by_or_did else _CONDITIONS, now)
    if standby is not StandbyState.NONE:
        conditions.mark_false(names.AWAKE, standby.value, _MESSAGES[standby])
    elif stands_by_or_did:
        conditions.mark_true(names.AWAKE)
    conditions.mark_true("PodScheduled")
    conditions.mark_true("Initialized")
    unready = " ".join(container.name for container in containers if not container.ready)
    problems = [f"{container.name}: {container.problem}" for container in containers if container.problem]
    if not unready:
        conditions.mark_true("ContainersReady")
    elif phase in ("Succeeded", "Failed"):
        conditions.mark_false("ContainersReady", f"Pod{'Completed' if phase == 'Succeeded' else 'Failed'}", "")
    elif problems:
        conditions.mark_false("ContainersReady", PROBES_FAILING, "; ".join(problems))
    else:
        message = f"containers with unready status: [{unready}]"
        conditions.mark_false("ContainersReady", "ContainersNotReady", message)
    return conditions.conditions()


def _container(view: ContainerView) -> Object:
    return {
        "name": view.name,
        "image": view.image,
        "imageID": view.image,
        "ready": view.ready,
        "started": view.started,
        "restartCount": view.restarts,
        "state": _state(view.state),
        "lastState": _state(view.last) if view.last is not None else {},
        **({"containerID": view.state.id} if isinstance(view.state, Running | Terminated) else {}),
    }


def _state(state: Waiting | Running | Terminated) -> Object:
    if isinstance(state, Waiting):
        return {"waiting": {"reason": state.reason, **({"message": state.message} if state.message else {})}}
    if isinstance(state, Running):
        return {"running": {"startedAt": timestamp(state.since)}}
    return {
        "terminated": {
            "exitCode": state.exit.code,
            **({"signal": state.exit.signal} if state.exit.signal else {}),
            "reason": state.exit.reason,
            **({"message": state.message} if state.message else {}),
            "startedAt": timestamp(state.since),
            "finishedAt": timestamp(state.until),
            "containerID": state.id,
        }
    }


def _quality(pod: Object) -> str:
    """Rule: pkg/apis/core/helper/qos: Guaranteed when every container's limits are its requests, for both resources."""
    resources = [container.get("resources") or {} for container in pod["spec"]["containers"]]
    if not any(entry.get("limits") or entry.get("requests") for entry in resources):
        return "BestEffort"
    whole = all(
        {"cpu", "memory"} <= set(entry.get("limits") or {})
        and (entry.get("requests") or entry["limits"]) == entry["limits"]
        for entry in resources
    )
    return "Guaranteed" if whole else "Burstable"
