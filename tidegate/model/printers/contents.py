# SPDX-License-Identifier: Apache-2.0
"""The columns of the kinds that hold data or limits: Namespace, ConfigMap, Secret, ServiceAccount and
ResourceQuota. Pure."""

from datetime import datetime

from tidegate.model.columns import AGE, NAME, Cell, Column, text
from tidegate.model.objects import Object
from tidegate.model.text.jsonpath import compiled

_HARD, _USED = compiled(".status.hard"), compiled(".status.used")


def _entries(*fields: str) -> Cell:
    """The number of entries in some fields together."""
    return lambda obj, now: sum(len(obj.get(field) or ()) for field in fields)


def _quota(*, limits: bool) -> Cell:
    """The use of each limit whose name begins with "limits.", or of all others, e.g. "pods: 1/2"."""

    def cell(quota: Object, now: datetime) -> str:
        hard, used = _HARD(quota) or {}, _USED(quota) or {}
        names = sorted(name for name in hard if name.startswith("limits.") == limits)
        return ", ".join(f"{name}: {used.get(name, 0)}/{hard[name]}" for name in names)

    return cell


NAMESPACE = (NAME, Column("Status", "string", text(compiled(".status.phase"))), AGE)
CONFIG_MAP = (NAME, Column("Data", "integer", _entries("data", "binaryData")), AGE)
SECRET = (
    NAME,
    Column("Type", "string", lambda secret, now: secret.get("type", "Opaque")),
    Column("Data", "integer", _entries("data")),
    AGE,
)
SERVICE_ACCOUNT = (NAME, Column("Secrets", "integer", _entries("secrets")), AGE)
RESOURCE_QUOTA = (
    NAME,
    Column("Request", "string", _quota(limits=False)),
    Column("Limit", "string", _quota(limits=True)),
    AGE,
)
