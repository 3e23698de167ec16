# SPDX-License-Identifier: Apache-2.0
"""The columns of Nodes: their state, roles, addresses and software versions. Pure."""

from collections.abc import Callable
from typing import Any

from tidegate.model.columns import AGE, NAME, Column, text
from tidegate.model.objects import Object, labels
from tidegate.model.text.jsonpath import compiled

_READY = compiled(".status.conditions[?(@.type=='Ready')].status")
_UNSCHEDULABLE = compiled(".spec.unschedulable")


def _status(node: Object) -> str:
    state = {"True": "Ready", "False": "NotReady"}.get(str(_READY(node)), "Unknown")
    return f"{state},SchedulingDisabled" if _UNSCHEDULABLE(node) else state


def _roles(node: Object) -> str:
    prefix = "node-role.kubernetes.io/"
    return ",".join(sorted(label.removeprefix(prefix) for label in labels(node) if label.startswith(prefix)))


def _address(kind: str) -> Callable[[Object], Any]:
    return compiled(f".status.addresses[?(@.type=='{kind}')].address")


def _info(field: str) -> Callable[[Object], Any]:
    return compiled(f".status.nodeInfo.{field}")


COLUMNS = (
    NAME,
    Column("Status", "string", text(_status)),
    Column("Roles", "string", text(_roles)),
    AGE,
    Column("Version", "string", text(_info("kubeletVersion"))),
    Column("Internal-IP", "string", text(_address("InternalIP")), 1),
    Column("External-IP", "string", text(_address("ExternalIP")), 1),
    Column("OS-Image", "string", text(_info("osImage")), 1),
    Column("Kernel-Version", "string", text(_info("kernelVersion")), 1),
    Column("Container-Runtime", "string", text(_info("containerRuntimeVersion")), 1),
)
