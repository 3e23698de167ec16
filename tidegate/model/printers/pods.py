# SPDX-License-Identifier: Apache-2.0
"""The columns of Pods: readiness, state and restarts of their containers. Pure.

Rule: k8s.io/kubernetes pkg/printers/internalversion, printPod; and "Prepared" for a Pod that only waits for its start.
"""

from collections.abc import Callable
from datetime import datetime

from tidegate.model import pods
from tidegate.model.columns import AGE, NAME, Column, since, text
from tidegate.model.objects import Object, is_deleting
from tidegate.model.text.jsonpath import compiled

_LAST_ENDED = compiled(".lastState.terminated.finishedAt")
_WAITING = compiled(".state.waiting.reason")
_RUNNING = compiled(".state.running")
_ENDED = compiled(".state.terminated")
_ENDED_REASON, _ENDED_SIGNAL, _ENDED_CODE = map(compiled, (".reason", ".signal", ".exitCode"))
_PHASE, _REASON = compiled(".status.phase"), compiled(".status.reason")
_INITIALIZED = compiled(".status.conditions[?(@.type=='Initialized')].status")
_READY = compiled(".status.conditions[?(@.type=='Ready')].status")


def _entries(path: str) -> Callable[[Object], list[Object]]:
    """The objects in an array."""
    find = compiled(path)

    def entries(obj: Object) -> list[Object]:
        found = find(obj)
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []

    return entries


_statuses = _entries(".status.containerStatuses")
_init_statuses = _entries(".status.initContainerStatuses")
_containers = _entries(".spec.containers")
_inits = _entries(".spec.initContainers")
_gates = _entries(".spec.readinessGates")
_conditions = _entries(".status.conditions")


def _ready(pod: Object, now: datetime) -> str:
    sidecars = _sidecars(pod)
    kept = [status for status in _init_statuses(pod) if status.get("name") in sidecars]
    ready = sum(1 for container in (*kept, *_statuses(pod)) if container.get("ready"))
    return f"{ready}/{len(sidecars) + len(_containers(pod))}"


def _sidecars(pod: Object) -> list[str]:
    """The init containers that keep running."""
    return [str(container.get("name")) for container in _inits(pod) if container.get("restartPolicy") == "Always"]


def _status(pod: Object, now: datetime) -> str:
    phase = _PHASE(pod) or "Unknown"
    reason = _REASON(pod) or phase
    initializing = "" if _INITIALIZED(pod) == "True" else _initializing(pod)
    for container in () if initializing else reversed(_statuses(pod)):
        reason = _why_not_running(container) or reason
    reason = "Prepared" if pods.is_created(pod) else initializing or reason
    if reason == "Completed" and any(_is_running(container) for container in _statuses(pod)):
        reason = "Running" if _READY(pod) == "True" else "NotReady"
    if is_deleting(pod) and phase not in ("Succeeded", "Failed"):
        return "Terminating"
    return str(reason)


def _initializing(pod: Object) -> str:
    """The first init container that is not done, and why; "" if all are."""
    sidecars = _sidecars(pod)
    for number, container in enumerate(_init_statuses(pod)):
        ended = _ENDED(container)
        if ended is not None and not _ENDED_CODE(ended):
            continue
        if container.get("name") in sidecars and container.get("started"):
            continue
        why = _why_not_running(container)
        return f"Init:{why}" if why not in ("", "PodInitializing") else f"Init:{number}/{len(_inits(pod))}"
    return ""


def _why_not_running(container: Object) -> str:
    if waiting := _WAITING(container):
        return str(waiting)
    ended = _ENDED(container)
    if ended is None:
        return ""
    signal = f"Signal:{_ENDED_SIGNAL(ended)}" if _ENDED_SIGNAL(ended) else ""
    return str(_ENDED_REASON(ended) or signal or f"ExitCode:{_ENDED_CODE(ended) or 0}")


def _is_running(container: Object) -> bool:
    return bool(container.get("ready")) and _RUNNING(container) is not None


def _restarts(pod: Object, now: datetime) -> str:
    counts = [container.get("restartCount") for container in _statuses(pod)]
    restarts = sum(count for count in counts if isinstance(count, int))
    ended = [str(moment) for container in _statuses(pod) if (moment := _LAST_ENDED(container))]
    return f"{restarts} ({since(max(ended), now)} ago)" if restarts and ended else str(restarts)


def _ready_gates(pod: Object) -> str:
    gates = [gate.get("conditionType") for gate in _gates(pod)]
    true = [entry.get("type") for entry in _conditions(pod) if entry.get("status") == "True"]
    return f"{sum(gate in true for gate in gates)}/{len(gates)}" if gates else ""


COLUMNS = (
    NAME,
    Column("Ready", "string", _ready),
    Column("Status", "string", _status),
    Column("Restarts", "string", _restarts),
    AGE,
    Column("IP", "string", text(compiled(".status.podIP")), 1),
    Column("Node", "string", text(compiled(".spec.nodeName")), 1),
    Column("Nominated Node", "string", text(compiled(".status.nominatedNodeName")), 1),
    Column("Readiness Gates", "string", text(_ready_gates), 1),
)
