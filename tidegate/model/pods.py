# SPDX-License-Identifier: Apache-2.0
"""The state of an instance, read from its Pod: its address, whether it accepts requests, and why it fails.

In: a `v1 Pod` with the status that the node agent writes. Out: plain values. Pure. Called by: the controllers (revision
status), the autoscaler (ready instances), the gateway (endpoints, and the reason in a response to a queued request) and
the node agent.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Literal, NamedTuple

from tidegate.model import names
from tidegate.model.conditions import condition, is_true
from tidegate.model.objects import Key, Object, annotations, is_deleting, labels, spec, status

FROZEN = "Frozen"
"""The reason of the condition `names.AWAKE` of a Pod whose processes are frozen."""

PROBES_FAILING = "ProbesFailing"
"""The reason of the condition ContainersReady of a Pod whose processes run and whose probes fail."""

OOM_KILLED = "OOMKilled"
"""The reason of a container's end that used more memory than its limit."""

STEADY = 600.0
"""A container that ran this many seconds before it ended is restarted without a wait, as after its first end."""

_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_SILENT = "container exited with no error"


RuntimeName = Literal["process", "oci"]
"""A runtime of the node: processes of this host, or OCI containers."""

_RUNTIMES: dict[str, RuntimeName] = {"process": "process", "oci": "oci"}


class Failure(NamedTuple):
    """Why an instance cannot run, as a condition's reason and message.

    | cause | reason | message |
    | --- | --- | --- |
    | a container ended | ExitCode<n> | Container failed with: <its last message>, after "OOMKilled" if so |
    | a container cannot be started | the node agent's, e.g. ErrImagePull, ContainerMissing | the node agent's |
    """

    reason: str
    message: str


def revision_key(pod: Object) -> Key | None:
    """The Revision of this Pod; None if the Pod does not belong to a Revision."""
    name = labels(pod).get(names.REVISION)
    return Key(pod["metadata"].get("namespace", ""), name) if name else None


def runtime_of(pod: Object) -> RuntimeName:
    """The runtime of a Pod or of a Revision: the one that its annotation names, else by its images. A Pod has one
    runtime, because its containers share a network: one image that no process can run makes it "oci"."""
    named = annotations(pod).get(names.RUNTIME, "")
    if named in _RUNTIMES:
        return _RUNTIMES[named]
    containers = (*(spec(pod).get("initContainers") or ()), *(spec(pod).get("containers") or ()))
    return "process" if all(is_of_this_host(str(each.get("image") or "")) for each in containers) else "oci"


def is_of_this_host(image: str) -> bool:
    """Whether an image stands for files of this host."""
    return image == names.HOST_IMAGE or image.startswith(names.BUNDLE_IMAGE_PREFIX)


def serving_container(pod_spec: Object) -> Object:
    """The container that receives the requests: the one with a port, or else the first one."""
    containers = pod_spec["containers"]
    return dict(next((container for container in containers if container.get("ports")), containers[0]))


def serving_port(pod_spec: Object) -> int:
    """The port of the serving container in the spec; 8080 by default."""
    ports = serving_container(pod_spec).get("ports") or [{}]
    return int(ports[0].get("containerPort") or names.DEFAULT_PORT)


def serving_protocol(pod_spec: Object) -> str:
    """The protocol of the serving container: "h2c" if its port has that name, else "http1"."""
    ports = serving_container(pod_spec).get("ports") or [{}]
    return "h2c" if ports[0].get("name") == "h2c" else "http1"


def endpoint(pod: Object) -> str | None:
    """The address of the instance for requests, as "ip:port"; None if it has no address yet."""
    address = status(pod).get("podIP")
    return f"{address}:{annotations(pod).get(names.PORT) or serving_port(spec(pod))}" if address else None


def is_draining(pod: Object) -> bool:
    """Whether the instance is being deleted: it finishes its requests and gets no new ones."""
    return is_deleting(pod)


WOKEN_LABEL_SECONDS = 5.0
"""Within this time the label of a woken Pod is removed; otherwise one on standby is frozen again."""


def is_standby(pod: Object) -> bool:
    """Whether the instance stands by: it gets no new requests until it is woken, and is frozen when it has none."""
    return labels(pod).get(names.STANDBY) == "true"


def is_frozen(pod: Object) -> bool:
    """Whether the node agent reports that the processes are frozen."""
    awake = condition(pod, names.AWAKE)
    return awake["status"] == "False" and awake.get("reason") == FROZEN


def is_prepared(pod: Object) -> bool:
    """Whether the Pod is kept prepared: the node creates its containers, and starts them once it is woken."""
    return labels(pod).get(names.PREPARED) == "true"


def is_created(pod: Object) -> bool:
    """Whether the node agent reports that the containers of a prepared Pod are created, so that they start at once."""
    return is_prepared(pod) and is_true(pod, names.PREPARED_STATE)


def is_started(pod: Object) -> bool:
    """Whether a container of a prepared Pod has started: the Pod was woken, and still has its label."""
    states = [container.get("state") or {} for container in status(pod).get("containerStatuses") or ()]
    return is_prepared(pod) and any("running" in state or "terminated" in state for state in states)


def is_instance(pod: Object) -> bool:
    """Whether the Pod counts as an instance: it is neither on standby nor prepared. Waking it makes it one."""
    return not is_standby(pod) and not is_prepared(pod)


def is_ready(pod: Object) -> bool:
    """Whether the instance accepts requests: its probes pass, and it is not being deleted."""
    return not is_draining(pod) and is_instance(pod) and is_true(pod)


def failure(pod: Object) -> Failure | None:
    """The reason why a container of this Pod cannot run or keeps ending; None if there is none, or if the Pod is being
    deleted. A container that the node restarts without a wait (after its first end, or after a long run) has not
    failed."""
    return None if is_draining(pod) else next(_failures(pod), None)


def failures(instances: Sequence[Object]) -> Sequence[Failure]:
    """The failures of a revision's instances if all of them have failed; empty if one of them may become ready."""
    found = [failed for failed in map(failure, instances) if failed is not None]
    return found if len(found) == len(instances) else ()


def awaited(pod: Object) -> str:
    """The probes that fail for a running instance, and their results; empty if unknown."""
    ready = condition(pod, "ContainersReady")
    return str(ready.get("message", "")) if ready.get("reason") == PROBES_FAILING else ""


def restarts(pod: Object) -> int:
    """The number of restarts of all containers."""
    return sum(int(each.get("restartCount") or 0) for each in status(pod).get("containerStatuses") or ())


def unschedulable(pod: Object) -> Failure | None:
    """The reason why no node accepts this Pod; None if a node may."""
    for entry in status(pod).get("conditions") or ():
        if entry["type"] == "PodScheduled" and entry["status"] == "False":
            return Failure(entry.get("reason", ""), entry.get("message", ""))
    return None


def _failures(pod: Object) -> Iterator[Failure]:
    """Init containers first: while one of them fails, the others have not started."""
    for container in status(pod).get("initContainerStatuses") or ():
        yield from _failure(container, may_end=True)
    for container in status(pod).get("containerStatuses") or ():
        if not container.get("ready"):
            yield from _failure(container, may_end=False)


def _failure(container: Object, *, may_end: bool) -> Iterator[Failure]:
    """The reason of the end counts, rather than the wait for the restart."""
    state = container.get("state") or {}
    ended = state.get("terminated") or (container.get("lastState") or {}).get("terminated")
    waiting = (state.get("waiting") or {}).get("reason", "")
    if ended and waiting in _STARTING and _starts_again(container, state, ended):
        return
    if ended and not (may_end and not ended.get("exitCode")):
        code = ended.get("exitCode", 0)
        yield Failure(f"ExitCode{code}", f"Container failed with: {_last_words(ended)}")
    elif waiting not in _STARTING:
        yield Failure(waiting, state["waiting"].get("message", ""))


def _last_words(ended: Object) -> str:
    """The last message of a container. A container that was killed for its memory does not know the reason."""
    reason, message = str(ended.get("reason") or ""), str(ended.get("message") or "")
    if reason == OOM_KILLED and message:
        return f"{reason}: {message}"
    return message or (_SILENT if not ended.get("exitCode") else reason)


def _starts_again(container: Object, state: Object, ended: Object) -> bool:
    """Whether the node restarts a container that ended this way without a wait."""
    ends = int(container.get("restartCount") or 0) + ("terminated" in state)
    return ends <= 1 or _seconds(ended) >= STEADY


def _seconds(ended: Object) -> float:
    """The duration of a container's run, in seconds."""
    since, until = ended.get("startedAt"), ended.get("finishedAt")
    if not (since and until):
        return 0.0
    return (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()
