# SPDX-License-Identifier: Apache-2.0
"""What a Pod says of one instance of a revision: where it listens, whether it takes requests, and why it cannot run.

In: a `v1 Pod` as the node agent reports it. Out: plain values. Who: the controllers (revision status), the autoscaler
(ready instances), the gateway (endpoints, and what a waiting request is told) and the node agent. Pure.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from tidegate.model import names
from tidegate.model.conditions import condition, is_true
from tidegate.model.objects import Key, Object, annotations, is_deleting, labels, spec, status

FROZEN = "Frozen"
"""The reason of the condition `names.AWAKE` of one whose processes do not run."""

PROBES_FAILING = "ProbesFailing"
"""The reason of the condition ContainersReady of one whose processes run, and whose probes fail."""

STEADY = 600.0
"""Seconds of running after which a container's end is like a first one."""

_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_SILENT = "container exited with no error"


class Failure(NamedTuple):
    """Why an instance cannot run, as a condition's reason and message.

    | cause | reason | message |
    | --- | --- | --- |
    | a container ended | ExitCode<n> | Container failed with: <its last words> |
    | a container cannot be started | what the node agent calls it (ErrImagePull, ContainerMissing) | the agent's |
    """

    reason: str
    message: str


def revision_key(pod: Object) -> Key | None:
    """The Revision this Pod is an instance of; None for a Pod of something else."""
    name = labels(pod).get(names.REVISION)
    return Key(pod["metadata"].get("namespace", ""), name) if name else None


def serving_container(pod_spec: Object) -> Object:
    """The container that takes the requests: the one with a port, else the only or first one."""
    containers = pod_spec["containers"]
    return dict(next((container for container in containers if container.get("ports")), containers[0]))


def serving_port(pod_spec: Object) -> int:
    """The port that the user says the serving container listens on."""
    ports = serving_container(pod_spec).get("ports") or [{}]
    return int(ports[0].get("containerPort") or names.DEFAULT_PORT)


def serving_protocol(pod_spec: Object) -> str:
    """The protocol of the serving container: "h2c" if its port has that name, else "http1"."""
    ports = serving_container(pod_spec).get("ports") or [{}]
    return "h2c" if ports[0].get("name") == "h2c" else "http1"


def endpoint(pod: Object) -> str | None:
    """Where the instance takes requests, as "ip:port"; None while it has no address."""
    address = status(pod).get("podIP")
    return f"{address}:{annotations(pod).get(names.PORT) or serving_port(spec(pod))}" if address else None


def is_draining(pod: Object) -> bool:
    """Whether it is being deleted: it ends the requests it has and gets no new ones."""
    return is_deleting(pod)


WOKEN_LABEL_SECONDS = 5.0
"""Within this time the label of a Pod that was woken from standby is removed; otherwise it is frozen again."""


def is_standby(pod: Object) -> bool:
    """Whether it is to stand by, frozen once it has no request: it gets no new ones until it is woken."""
    return labels(pod).get(names.STANDBY) == "true"


def is_frozen(pod: Object) -> bool:
    """Whether the node says that its processes do not run at present."""
    awake = condition(pod, names.AWAKE)
    return awake["status"] == "False" and awake.get("reason") == FROZEN


def is_ready(pod: Object) -> bool:
    """Whether it takes requests: its probes pass, nobody deletes it and it is not to stand by."""
    return not is_draining(pod) and not is_standby(pod) and is_true(pod)


def failure(pod: Object) -> Failure | None:
    """Why a container of this Pod cannot run or keeps ending; None while nothing says so, and once the Pod is to go.
    One that the node starts again at once, as after its first end and after one that came late, has not failed."""
    return None if is_draining(pod) else next(_failures(pod), None)


def failures(instances: Sequence[Object]) -> Sequence[Failure]:
    """Why none of a revision's instances will take requests, each one's word; empty while one of them may."""
    found = [failed for failed in map(failure, instances) if failed is not None]
    return found if len(found) == len(instances) else ()


def awaited(pod: Object) -> str:
    """Which probes an instance that runs is not ready for, and what they saw; empty while nobody knows."""
    ready = condition(pod, "ContainersReady")
    return str(ready.get("message", "")) if ready.get("reason") == PROBES_FAILING else ""


def restarts(pod: Object) -> int:
    """How often its containers were started again."""
    return sum(int(each.get("restartCount") or 0) for each in status(pod).get("containerStatuses") or ())


def unschedulable(pod: Object) -> Failure | None:
    """Why no node takes this Pod, when that is so."""
    for entry in status(pod).get("conditions") or ():
        if entry["type"] == "PodScheduled" and entry["status"] == "False":
            return Failure(entry.get("reason", ""), entry.get("message", ""))
    return None


def _failures(pod: Object) -> Iterator[Failure]:
    """Init containers first: while one of them fails, nothing else has begun."""
    for container in status(pod).get("initContainerStatuses") or ():
        yield from _failure(container, may_end=True)
    for container in status(pod).get("containerStatuses") or ():
        if not container.get("ready"):
            yield from _failure(container, may_end=False)


def _failure(container: Object, *, may_end: bool) -> Iterator[Failure]:
    """How it ended says more than that it waits to be started again."""
    state = container.get("state") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    waiting = (state.get("waiting") or {}).get("reason", "")
    if ended and waiting in _STARTING and _starts_again(container, state, ended):
        return
    if ended and not (may_end and not ended.get("exitCode")):
        code = ended.get("exitCode", 0)
        words = ended.get("message") or (_SILENT if code == 0 else ended.get("reason", ""))
        yield Failure(f"ExitCode{code}", f"Container failed with: {words}")
    elif waiting not in _STARTING:
        yield Failure(waiting, state["waiting"].get("message", ""))


def _starts_again(container: Object, state: Object, ended: Object) -> bool:
    """Whether the node lets a container that ended so start without a wait."""
    ends = int(container.get("restartCount") or 0) + ("terminated" in state)
    return ends <= 1 or _seconds(ended) >= STEADY


def _seconds(ended: Object) -> float:
    """How long a container ran."""
    since, until = ended.get("startedAt"), ended.get("finishedAt")
    if not (since and until):
        return 0.0
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()
