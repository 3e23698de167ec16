# SPDX-License-Identifier: Apache-2.0
"""A Pod's status from the state of its containers. Pure.

In: a Pod and the `PodView` of its instance. Out: the complete `status`; the writer compares it with the present
one and leaves out a write that would change nothing. Called by: `pod_statuses.py`, `binder.py`.

Rule: k8s.io/kubernetes pkg/kubelet/status/generate.go and kubelet_pods.go.

| containers | phase |
| --- | --- |
| one has not run yet | Pending |
| an init container failed and will not be started again | Failed |
| one runs or will be started again | Running |
| all ended with code 0 and will not be started again | Succeeded |
| all ended and will not be started again | Failed |
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

from tidegate.model import names
from tidegate.model.conditions import Conditions, condition, timestamp
from tidegate.model.objects import Object, status
from tidegate.model.pods import FROZEN, PROBES_FAILING
from tidegate.node.port_lease import LOOPBACK
from tidegate.node.quality import quality
from tidegate.node.runtime import ContainerExit

_CONDITIONS = ("PodScheduled", "Initialized", "ContainersReady")


class StandbyState(Enum):
    """NONE: in use; WANTED: to be frozen once it is ready and has no request; FROZEN: frozen."""

    NONE = ""
    WANTED = "GoingToStandby"
    FROZEN = FROZEN


class PreparedState(NamedTuple):
    """How far the containers of a prepared Pod are. `created`: they wait for their start; `problem`: why they cannot be
    created; both false after their start."""

    created: bool = False
    problem: str = ""


_MESSAGES = {
    StandbyState.WANTED: "The instance gets no requests and is frozen once it is ready and has none.",
    StandbyState.FROZEN: "The instance is frozen until it is needed.",
}


class Waiting(NamedTuple):
    """The container does not run: it is about to start, or it cannot start."""

    reason: str = "ContainerCreating"
    message: str = ""


STARTING = Waiting()
INITIALIZING = Waiting("PodInitializing")
"""The first states of a container: the second in a Pod with init containers. As in the kubelet, it stays until the
container runs or fails."""


class Running(NamedTuple):
    """The container runs."""

    id: str
    since: datetime


EPOCH = datetime.fromtimestamp(0, UTC)
"""The time of an end whose time is not known."""


class Terminated(NamedTuple):
    """The container ended. `message`: why, and the last lines of its log."""

    id: str
    exit: ContainerExit
    message: str
    since: datetime
    until: datetime


def terminated(entry: Object | None) -> Terminated | None:
    """The end of a run, as a Pod's status has it."""
    if not entry:
        return None
    how = ContainerExit(
        int(entry.get("exitCode") or 0),
        int(entry.get("signal") or 0),
        str(entry.get("reason") or ""),
    )
    since, until = (
        datetime.fromisoformat(entry[field]) if entry.get(field) else EPOCH for field in ("startedAt", "finishedAt")
    )
    return Terminated(str(entry.get("containerID") or ""), how, str(entry.get("message") or ""), since, until)


@dataclass(frozen=True, slots=True)
class ContainerView:
    """One container. `last`: the end of its run before this one; `final`: it will not be started again; `problem`: why
    it is not ready; `created`: it waits for its start."""

    name: str
    image: str
    image_id: str = ""
    state: Waiting | Running | Terminated = STARTING
    last: Terminated | None = None
    ready: bool = False
    started: bool = False
    restarts: int = 0
    final: bool = False
    problem: str = ""
    created: bool = False

    @property
    def has_run(self) -> bool:
        return isinstance(self.state, Running | Terminated) or self.last is not None

    @property
    def succeeded(self) -> bool:
        return isinstance(self.state, Terminated) and self.state.exit.code == 0


@dataclass(frozen=True, slots=True)
class InitView:
    """One init container. `sidecar`: it keeps running beside the others, which start once it has started."""

    container: ContainerView
    sidecar: bool = False

    @property
    def is_done(self) -> bool:
        """Whether the next containers may start."""
        return self.container.started if self.sidecar else self.container.final and self.container.succeeded

    @property
    def has_failed(self) -> bool:
        """For good, and the Pod with it."""
        return not self.sidecar and self.container.final and not self.container.succeeded

    @property
    def is_ready(self) -> bool:
        """As the status shows it."""
        return self.container.ready if self.sidecar else self.is_done


@dataclass(frozen=True, slots=True)
class PodView:
    """One instance. `address`: its own, or this host's; "" before it is set up; `initialized`: its containers may run;
    `lacking`: why this node has no room to start its prepared containers; `preparation`: None for a Pod that never was
    prepared."""

    containers: Sequence[ContainerView]
    inits: Sequence[InitView] = ()
    address: str = LOOPBACK
    initialized: bool = True
    standby: StandbyState = StandbyState.NONE
    lacking: str = ""
    preparation: PreparedState | None = None


def pod_status(pod: Object, view: PodView, now: datetime) -> Object:
    """The status as a patch: None removes a field. A frozen Pod has ready containers and is not ready itself."""
    phase = _phase(view)
    before = status(pod)
    frozen = view.standby is StandbyState.FROZEN
    return {
        "phase": phase,
        "reason": "Standby" if frozen else None,
        "message": _MESSAGES[view.standby] if frozen else None,
        "conditions": _conditions(pod, view, phase, now),
        "hostIP": LOOPBACK,
        "hostIPs": [{"ip": LOOPBACK}],
        "podIP": view.address or None,
        "podIPs": [{"ip": view.address}] if view.address else None,
        "startTime": before.get("startTime") or timestamp(now),
        **(
            {"initContainerStatuses": [_container(init.container, init.is_ready) for init in view.inits]}
            if view.inits
            else {}
        ),
        "containerStatuses": [_container(container, container.ready) for container in view.containers],
        "qosClass": before.get("qosClass") or quality(pod),
    }


def unscheduled_status(pod: Object, lacking: str, now: datetime) -> Object:
    """The status while no node has room for the Pod."""
    conditions = Conditions(pod, ("PodScheduled",), now)
    conditions.mark_false("PodScheduled", "Unschedulable", lacking)
    return {"phase": "Pending", "conditions": conditions.conditions(), "qosClass": quality(pod)}


def _phase(view: PodView) -> str:
    if any(init.has_failed for init in view.inits):
        return "Failed"
    if all(container.final for container in view.containers):
        return "Succeeded" if all(container.succeeded for container in view.containers) else "Failed"
    return "Running" if all(container.has_run for container in view.containers) else "Pending"


def _conditions(pod: Object, view: PodView, phase: str, now: datetime) -> list[Object]:
    standby = view.standby
    stands_by_or_did = standby is not StandbyState.NONE or condition(pod, names.AWAKE)["status"] != "Unknown"
    conditions = Conditions(pod, (*_CONDITIONS, names.AWAKE) if stands_by_or_did else _CONDITIONS, now)
    if standby is not StandbyState.NONE:
        conditions.mark_false(names.AWAKE, standby.value, _MESSAGES[standby])
    elif stands_by_or_did:
        conditions.mark_true(names.AWAKE)
    if view.preparation is not None:
        _mark_prepared(conditions, view.preparation)
    _mark_containers_ready(conditions, view, phase)
    _mark_initialized(conditions, view, phase)
    if view.lacking:
        conditions.mark_false("PodScheduled", "Unschedulable", view.lacking)
    else:
        conditions.mark_true("PodScheduled")
    return conditions.conditions()


def _mark_prepared(conditions: Conditions, preparation: PreparedState) -> None:
    if preparation.created:
        conditions.mark_true(names.PREPARED_STATE)
    elif preparation.problem:
        conditions.mark_false(names.PREPARED_STATE, "ContainersNotCreated", preparation.problem)
    else:
        conditions.mark_false(names.PREPARED_STATE, "ContainersStarted", "")


def _mark_initialized(conditions: Conditions, view: PodView, phase: str) -> None:
    """Rule: GeneratePodInitializedCondition. The containers of an initialized Pod may run, although its init containers
    are not known any more."""
    if view.initialized:
        conditions.mark_true("Initialized")
    elif phase in ("Succeeded", "Failed"):
        conditions.mark_false("Initialized", f"Pod{phase}" if phase == "Failed" else "PodCompleted", "")
    else:
        waiting = " ".join(init.container.name for init in view.inits if not init.is_done)
        message = f"containers with incomplete status: [{waiting}]"
        conditions.mark_false("Initialized", "ContainersNotInitialized", message)


def _mark_containers_ready(conditions: Conditions, view: PodView, phase: str) -> None:
    needed = list(_needed(view))
    unready = " ".join(container.name for container in needed if not container.ready)
    problems = [f"{container.name}: {container.problem}" for container in needed if container.problem]
    if phase in ("Succeeded", "Failed"):
        conditions.mark_false("ContainersReady", f"Pod{'Completed' if phase == 'Succeeded' else 'Failed'}", "")
    elif not unready:
        conditions.mark_true("ContainersReady")
    elif problems:
        conditions.mark_false("ContainersReady", PROBES_FAILING, "; ".join(problems))
    else:
        message = f"containers with unready status: [{unready}]"
        conditions.mark_false("ContainersReady", "ContainersNotReady", message)


def _needed(view: PodView) -> Iterator[ContainerView]:
    """The containers that a ready Pod needs."""
    yield from (init.container for init in view.inits if init.sidecar)
    yield from view.containers


def _container(view: ContainerView, ready: bool) -> Object:
    return {
        "name": view.name,
        "image": view.image,
        "imageID": view.image_id,
        "ready": ready,
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
