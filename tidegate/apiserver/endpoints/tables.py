# SPDX-License-Identifier: Apache-2.0
"""The columns of each kind and how their cells come from an object: what `kubectl get` prints. Pure.

A kind with columns of its own in `model.kinds` shows its name and those, as a CRD does; the core kinds show what
Kubernetes' printers compute (k8s.io/kubernetes pkg/printers/internalversion).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tidegate.apiserver.endpoints import jsonpath
from tidegate.model import kinds
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object, is_deleting, labels

Cell = Callable[[Object, datetime], Any]


class Column(NamedTuple):
    """A column of a Table; `priority` > 0 shows with -o wide only."""

    name: str
    type: str
    cell: Cell
    priority: int = 0
    format: str = ""

    def definition(self) -> Object:
        return {
            "name": self.name,
            "type": self.type,
            "format": self.format,
            "description": "",
            "priority": self.priority,
        }


def columns_of(kind: Kind) -> Sequence[Column]:
    """The columns of a kind, the name first."""
    return _COLUMNS[kind]


def human_duration(duration: timedelta) -> str:
    """An age as kubectl writes it: two units where the larger one is small (k8s.io/apimachinery util/duration)."""
    seconds = int(duration.total_seconds())
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if minutes < 10:
        return _two(minutes, "m", seconds % 60, "s")
    if hours < 3:
        return f"{minutes}m"
    if hours < 8:
        return _two(hours, "h", minutes % 60, "m")
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return _two(days, "d", hours % 24, "h")
    if days < 2 * 365:
        return f"{days}d"
    return _two(days // 365, "y", days % 365, "d") if days < 8 * 365 else f"{days // 365}y"


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    return f"{large}{large_unit}{small}{small_unit}" if small else f"{large}{large_unit}"


def _since(moment: Any, now: datetime) -> str:
    try:
        then = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return "<unknown>"
    return human_duration(now - (then if then.tzinfo is not None else then.replace(tzinfo=UTC)))


def _name(obj: Object, now: datetime) -> Any:
    return obj["metadata"]["name"]


def _age(obj: Object, now: datetime) -> Any:
    return _since(obj["metadata"].get("creationTimestamp"), now)


_NAME = Column("Name", "string", _name, format="name")
_AGE = Column("Age", "string", _age)

_FITS: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,)}


def _at(column: kinds.Column) -> Column:
    """A CRD's printer column: empty where the value is not there or not of its type."""
    find = jsonpath.compiled(column.path)

    def cell(obj: Object, now: datetime) -> Any:
        value = find(obj)
        if column.type == "date":
            return _since(value, now) if value is not None else None
        return value if isinstance(value, _FITS[column.type]) else None

    return Column(column.name, column.type, cell, column.priority)


def _count(field: str) -> Cell:
    return lambda obj, now: len(obj.get(field) or ())


# What a status holds is not all checked when it is written, so cells are found by paths, which do not trip over it.

_found = jsonpath.compiled

# Pods

_LAST_ENDED = _found(".lastState.terminated.finishedAt")
_WAITING = _found(".state.waiting.reason")
_RUNNING = _found(".state.running")
_ENDED = _found(".state.terminated")
_ENDED_WHY, _ENDED_BY, _ENDED_WITH = map(_found, (".reason", ".signal", ".exitCode"))
_PHASE, _REASON = _found(".status.phase"), _found(".status.reason")
_READY = _found(".status.conditions[?(@.type=='Ready')].status")


def _entries(path: str) -> Callable[[Object], list[Object]]:
    """The objects in an array."""
    find = _found(path)

    def entries(obj: Object) -> list[Object]:
        found = find(obj)
        return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []

    return entries


_containers = _entries(".status.containerStatuses")
_wanted_containers = _entries(".spec.containers")


def _pod_ready(pod: Object, now: datetime) -> str:
    ready = sum(1 for container in _containers(pod) if container.get("ready"))
    return f"{ready}/{len(_wanted_containers(pod))}"


def _pod_status(pod: Object, now: datetime) -> str:
    phase = _PHASE(pod) or "Unknown"
    reason = _REASON(pod) or phase
    for container in reversed(_containers(pod)):
        reason = _why_not_running(container) or reason
    if reason == "Completed" and any(_is_running(container) for container in _containers(pod)):
        reason = "Running" if _READY(pod) == "True" else "NotReady"
    if is_deleting(pod) and phase not in ("Succeeded", "Failed"):
        return "Terminating"
    return str(reason)


def _why_not_running(container: Object) -> str:
    if waiting := _WAITING(container):
        return str(waiting)
    ended = _ENDED(container)
    if ended is None:
        return ""
    signal = f"Signal:{_ENDED_BY(ended)}" if _ENDED_BY(ended) else ""
    return str(_ENDED_WHY(ended) or signal or f"ExitCode:{_ENDED_WITH(ended) or 0}")


def _is_running(container: Object) -> bool:
    return bool(container.get("ready")) and _RUNNING(container) is not None


def _pod_restarts(pod: Object, now: datetime) -> str:
    counts = [container.get("restartCount") for container in _containers(pod)]
    restarts = sum(count for count in counts if isinstance(count, int))
    ended = [str(moment) for container in _containers(pod) if (moment := _LAST_ENDED(container))]
    return f"{restarts} ({_since(max(ended), now)} ago)" if restarts and ended else str(restarts)


def _text(find: Callable[[Object], Any]) -> Cell:
    return lambda obj, now: find(obj) or "<none>"


_wanted_gates, _conditions = _entries(".spec.readinessGates"), _entries(".status.conditions")


def _gates(pod: Object) -> str:
    gates = [gate.get("conditionType") for gate in _wanted_gates(pod)]
    true = [entry.get("type") for entry in _conditions(pod) if entry.get("status") == "True"]
    return f"{sum(gate in true for gate in gates)}/{len(gates)}" if gates else ""


# Events

_EVENT_SOURCE, _EVENT_HOST = _found(".source.component"), _found(".source.host")
_ABOUT_KIND, _ABOUT_NAME = _found(".involvedObject.kind"), _found(".involvedObject.name")
_ABOUT_FIELD = _found(".involvedObject.fieldPath")
_LAST_OBSERVED = _found(".series.lastObservedTime")


def _event_source(event: Object) -> str:
    component = _EVENT_SOURCE(event) or event.get("reportingComponent") or ""
    instance = _EVENT_HOST(event) or event.get("reportingInstance") or ""
    return f"{component}, {instance}" if instance else str(component)


def _event_object(event: Object) -> str:
    return f"{str(_ABOUT_KIND(event) or '').lower()}/{_ABOUT_NAME(event) or ''}"


def _last_seen(event: Object, now: datetime) -> str:
    last = _LAST_OBSERVED(event) or event.get("lastTimestamp") or event.get("eventTime")
    return _since(last or event["metadata"].get("creationTimestamp"), now)


def _first_seen(event: Object, now: datetime) -> str:
    return _since(event.get("firstTimestamp") or event.get("eventTime"), now)


# Nodes

_UNSCHEDULABLE = _found(".spec.unschedulable")


def _node_status(node: Object) -> str:
    state = {"True": "Ready", "False": "NotReady"}.get(str(_READY(node)), "Unknown")
    return f"{state},SchedulingDisabled" if _UNSCHEDULABLE(node) else state


def _node_roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(sorted(label.removeprefix(prefix) for label in labels(node) if label.startswith(prefix)))


def _node_address(kind: str) -> Callable[[Object], Any]:
    return _found(f".status.addresses[?(@.type=='{kind}')].address")


def _node_info(field: str) -> Callable[[Object], Any]:
    return _found(f".status.nodeInfo.{field}")


# ResourceQuotas

_HARD, _USED = _found(".status.hard"), _found(".status.used")


def _of_limits(of_limits: bool) -> Cell:
    """How much is used of each limit on what containers may have at most, or of all others: "pods: 1/2"."""

    def cell(quota: Object, now: datetime) -> str:
        hard, used = _HARD(quota) or {}, _USED(quota) or {}
        names = sorted(name for name in hard if name.startswith("limits.") == of_limits)
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return cell


_CORE = {
    kinds.POD: (
        Column("Ready", "string", _pod_ready),
        Column("Status", "string", _pod_status),
        Column("Restarts", "string", _pod_restarts),
        _AGE,
        Column("IP", "string", _text(_found(".status.podIP")), 1),
        Column("Node", "string", _text(_found(".spec.nodeName")), 1),
        Column("Nominated Node", "string", _text(_found(".status.nominatedNodeName")), 1),
        Column("Readiness Gates", "string", _text(_gates), 1),
    ),
    kinds.NODE: (
        Column("Status", "string", _text(_node_status)),
        Column("Roles", "string", _text(_node_roles)),
        _AGE,
        Column("Version", "string", _text(_node_info("kubeletVersion"))),
        Column("Internal-IP", "string", _text(_node_address("InternalIP")), 1),
        Column("External-IP", "string", _text(_node_address("ExternalIP")), 1),
        Column("OS-Image", "string", _text(_node_info("osImage")), 1),
        Column("Kernel-Version", "string", _text(_node_info("kernelVersion")), 1),
        Column("Container-Runtime", "string", _text(_node_info("containerRuntimeVersion")), 1),
    ),
    kinds.NAMESPACE: (Column("Status", "string", _text(_PHASE)), _AGE),
    kinds.CONFIG_MAP: (
        Column("Data", "integer", lambda obj, now: _count("data")(obj, now) + _count("binaryData")(obj, now)),
        _AGE,
    ),
    kinds.SECRET: (
        Column("Type", "string", lambda secret, now: secret.get("type", "Opaque")),
        Column("Data", "integer", _count("data")),
        _AGE,
    ),
    kinds.RESOURCE_QUOTA: (
        Column("Request", "string", _of_limits(False)),
        Column("Limit", "string", _of_limits(True)),
        _AGE,
    ),
}
_EVENT = (
    Column("Last Seen", "string", _last_seen),
    Column("Type", "string", lambda event, now: event.get("type", "")),
    Column("Reason", "string", lambda event, now: event.get("reason", "")),
    Column("Object", "string", lambda event, now: _event_object(event)),
    Column("Subobject", "string", lambda event, now: _ABOUT_FIELD(event) or "", 1),
    Column("Source", "string", lambda event, now: _event_source(event), 1),
    Column("Message", "string", lambda event, now: str(event.get("message") or "").strip()),
    Column("First Seen", "string", _first_seen, 1),
    Column("Count", "string", lambda event, now: str(event.get("count") or 1), 1),
    Column("Name", "string", _name, 1, "name"),
)
_COLUMNS: dict[Kind, tuple[Column, ...]] = {
    kind: (_NAME, *(_CORE.get(kind) or (*map(_at, kind.columns), *(() if kind.columns else (_AGE,)))))
    for kind in kinds.ALL
}
_COLUMNS[kinds.EVENT] = _EVENT
