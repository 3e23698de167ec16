# SPDX-License-Identifier: Apache-2.0
"""The columns of each kind and how their cells come from an object: what `kubectl get` prints. Pure.

A kind with columns of its own in `model.kinds` shows its name and those, as a CRD does; the core kinds show what
Kubernetes' printers compute (k8s.io/kubernetes pkg/printers/internalversion).
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tidegate.apiserver import jsonpath
from tidegate.model import kinds
from tidegate.model.conditions import condition
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object, is_deleting, labels, spec, status

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


# Pods


def _containers(pod: Object) -> list[Object]:
    return status(pod).get("containerStatuses") or []


def _pod_ready(pod: Object, now: datetime) -> str:
    ready = sum(1 for container in _containers(pod) if container.get("ready"))
    return f"{ready}/{len(spec(pod).get('containers') or ())}"


def _pod_status(pod: Object, now: datetime) -> str:
    phase = status(pod).get("phase", "Unknown")
    reason = status(pod).get("reason") or phase
    for container in reversed(_containers(pod)):
        reason = _why_not_running(container) or reason
    if reason == "Completed" and any(_is_running(container) for container in _containers(pod)):
        reason = "Running" if condition(pod, "Ready")["status"] == "True" else "NotReady"
    if is_deleting(pod) and phase not in ("Succeeded", "Failed"):
        return "Terminating"
    return str(reason)


def _why_not_running(container: Object) -> str:
    state = container.get("state") or {}
    if state.get("waiting", {}).get("reason"):
        return str(state["waiting"]["reason"])
    if "terminated" not in state:
        return ""
    ended = state["terminated"]
    signal = f"Signal:{ended['signal']}" if ended.get("signal") else ""
    return str(ended.get("reason") or signal or f"ExitCode:{ended.get('exitCode', 0)}")


def _is_running(container: Object) -> bool:
    return bool(container.get("ready")) and "running" in (container.get("state") or {})


def _pod_restarts(pod: Object, now: datetime) -> str:
    restarts = sum(container.get("restartCount", 0) for container in _containers(pod))
    ended = [
        container["lastState"]["terminated"]["finishedAt"]
        for container in _containers(pod)
        if (container.get("lastState") or {}).get("terminated", {}).get("finishedAt")
    ]
    return f"{restarts} ({_since(max(ended), now)} ago)" if restarts and ended else str(restarts)


def _text(find: Callable[[Object], Any]) -> Cell:
    return lambda obj, now: find(obj) or "<none>"


def _gates(pod: Object) -> str:
    gates = [gate.get("conditionType") for gate in spec(pod).get("readinessGates") or ()]
    met = sum(1 for gate in gates if condition(pod, str(gate))["status"] == "True")
    return f"{met}/{len(gates)}" if gates else ""


# Events


def _event_source(event: Object) -> str:
    source = event.get("source") or {}
    component = source.get("component") or event.get("reportingComponent") or ""
    instance = source.get("host") or event.get("reportingInstance") or ""
    return f"{component}, {instance}" if instance else component


def _event_object(event: Object) -> str:
    about = event.get("involvedObject") or {}
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _last_seen(event: Object, now: datetime) -> str:
    series = event.get("series") or {}
    last = series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime")
    return _since(last or event["metadata"].get("creationTimestamp"), now)


def _first_seen(event: Object, now: datetime) -> str:
    return _since(event.get("firstTimestamp") or event.get("eventTime"), now)


# Nodes


def _node_status(node: Object) -> str:
    states = {"True": "Ready", "False": "NotReady"}
    state = states.get(condition(node, "Ready")["status"], "Unknown")
    return f"{state},SchedulingDisabled" if spec(node).get("unschedulable") else state


def _node_roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(sorted(label.removeprefix(prefix) for label in labels(node) if label.startswith(prefix)))


def _node_address(kind: str) -> Callable[[Object], Any]:
    return lambda node: next(
        (address["address"] for address in status(node).get("addresses") or () if address.get("type") == kind), None
    )


def _node_info(field: str) -> Callable[[Object], Any]:
    return lambda node: (status(node).get("nodeInfo") or {}).get(field)


_CORE = {
    kinds.POD: (
        Column("Ready", "string", _pod_ready),
        Column("Status", "string", _pod_status),
        Column("Restarts", "string", _pod_restarts),
        _AGE,
        Column("IP", "string", _text(lambda pod: status(pod).get("podIP")), 1),
        Column("Node", "string", _text(lambda pod: spec(pod).get("nodeName")), 1),
        Column("Nominated Node", "string", _text(lambda pod: status(pod).get("nominatedNodeName")), 1),
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
    kinds.NAMESPACE: (Column("Status", "string", _text(lambda namespace: status(namespace).get("phase"))), _AGE),
    kinds.CONFIG_MAP: (
        Column("Data", "integer", lambda obj, now: _count("data")(obj, now) + _count("binaryData")(obj, now)),
        _AGE,
    ),
    kinds.SECRET: (
        Column("Type", "string", lambda secret, now: secret.get("type", "Opaque")),
        Column("Data", "integer", _count("data")),
        _AGE,
    ),
}
_EVENT = (
    Column("Last Seen", "string", _last_seen),
    Column("Type", "string", lambda event, now: event.get("type", "")),
    Column("Reason", "string", lambda event, now: event.get("reason", "")),
    Column("Object", "string", lambda event, now: _event_object(event)),
    Column("Subobject", "string", lambda event, now: (event.get("involvedObject") or {}).get("fieldPath", ""), 1),
    Column("Source", "string", lambda event, now: _event_source(event), 1),
    Column("Message", "string", lambda event, now: (event.get("message") or "").strip()),
    Column("First Seen", "string", _first_seen, 1),
    Column("Count", "string", lambda event, now: str(event.get("count") or 1), 1),
    Column("Name", "string", _name, 1, "name"),
)
_COLUMNS: dict[Kind, tuple[Column, ...]] = {
    kind: (_NAME, *(_CORE.get(kind) or (*map(_at, kind.columns), *(() if kind.columns else (_AGE,)))))
    for kind in kinds.ALL
}
_COLUMNS[kinds.EVENT] = _EVENT
