# SPDX-License-Identifier: Apache-2.0
"""The columns that `kubectl get` prints for a kind, and how a cell is made from an object. Pure.

In: a JSONPath or a function. Out: `Column`s, for `Resource.columns`. `printed` makes the columns of Knative's custom
resource definitions; `model.printers` has the computed columns of Kubernetes' own kinds.

Called by: `model.groups` (declaration), the API server's tables (cells).
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tidegate.model.objects import Object
from tidegate.model.text import jsonpath

Cell = Callable[[Object, datetime], Any]
"""(object, now) -> the value of a cell."""


class Column(NamedTuple):
    """A column of a Table; one with `priority` > 0 is shown with -o wide only."""

    name: str
    type: str
    cell: Cell
    priority: int = 0
    format: str = ""


def printed(name: str, type_: str, path: str, priority: int = 0) -> Column:
    """An additionalPrinterColumn of a CRD: empty if the path leads to no value or to one of another type."""
    find = jsonpath.compiled(path)

    def cell(obj: Object, now: datetime) -> Any:
        value = find(obj)
        if type_ == "date":
            return since(value, now) if value is not None else None
        return value if isinstance(value, _TYPES[type_]) else None

    return Column(name, type_, cell, priority)


_TYPES: dict[str, tuple[type, ...]] = {"string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,)}


def text(find: Callable[[Object], Any]) -> Cell:
    """A cell with the text that `find` returns, or "<none>"."""
    return lambda obj, now: find(obj) or "<none>"


def since(moment: Any, now: datetime) -> str:
    """The time from an RFC 3339 `moment` until now, e.g. "5m"; "<unknown>" for anything else."""
    try:
        then = datetime.fromisoformat(moment)
    except (TypeError, ValueError):
        return "<unknown>"
    return human_duration(now - (then if then.tzinfo is not None else then.replace(tzinfo=UTC)))


def human_duration(duration: timedelta) -> str:
    """A duration in the form of kubectl: two units if the larger one is small (k8s.io/apimachinery util/duration)."""
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


def _name(obj: Object, now: datetime) -> Any:
    return obj["metadata"]["name"]


def _age(obj: Object, now: datetime) -> Any:
    return since(obj["metadata"].get("creationTimestamp"), now)


NAME = Column("Name", "string", _name, format="name")
AGE = Column("Age", "string", _age)
READY = (
    printed("Ready", "string", ".status.conditions[?(@.type=='Ready')].status"),
    printed("Reason", "string", ".status.conditions[?(@.type=='Ready')].reason"),
)
