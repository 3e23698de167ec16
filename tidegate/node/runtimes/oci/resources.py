# SPDX-License-Identifier: Apache-2.0
"""The `linux.resources` of a config.json: CPU, memory, processes, devices. Pure.

In: a container's `resources`. Out: the limits in the form of the OCI specification, the same for control groups of
version 1 and 2; or `LaunchRejected` for a resource that no container can have. Called by: `config.py`, `runtime.py`.

Rule: pkg/kubelet/cm/helpers_linux.go: a core is 1024 shares and a quota of one period; a missing request is the limit.
"""

from collections.abc import Mapping
from typing import Any

from tidegate.model.objects import Object
from tidegate.model.text import quantities
from tidegate.node.quality import quality
from tidegate.node.runtime import CONFIG_ERROR, LaunchRejected, Limits

MOST_PROCESSES = 4096
"""Processes and threads of one container."""

_PERIOD = 100_000  # microseconds
_LEAST_QUOTA, _LEAST_SHARES, _MOST_SHARES = 1000, 2, 262_144  # the kernel's
_PAGE = 4096
_MOST_OOM_SCORE = 1000
_KNOWN = frozenset({"cpu", "memory", "ephemeral-storage"})
_UNLIMITED = 2**63 - 1


def check_resources(container: Object) -> None:
    """Raises `LaunchRejected` for a resource that is not limited here."""
    resources = container.get("resources") or {}
    for section in ("limits", "requests"):
        if unknown := sorted(set(resources.get(section) or {}) - _KNOWN):
            raise LaunchRejected(CONFIG_ERROR, f"resources.{section}: this runtime does not support {unknown[0]}")
    if resources.get("claims"):
        raise LaunchRejected(CONFIG_ERROR, "resources.claims: this runtime does not support them")


def storage_limit(container: Object) -> str:
    """How much a container may write to its root file system, as a quantity; "" for no limit. Raises
    `LaunchRejected`."""
    amount = ((container.get("resources") or {}).get("limits") or {}).get("ephemeral-storage")
    if amount is not None:
        _amount("ephemeral-storage", amount)
    return "" if amount is None else str(amount)


def resources(container: Object, limits: Limits, *, limits_swap: bool) -> Mapping[str, Any]:
    """`limits_swap`: whether this host counts swap, so that a container with a memory limit gets none. Raises
    `LaunchRejected`."""
    cpu = (container.get("resources") or {}).get("requests", {}).get("cpu")
    cores = float(_amount("cpu", cpu)) if cpu is not None else limits.cpu
    memory = None if limits.memory is None else max(_PAGE, min(limits.memory, _UNLIMITED) // _PAGE * _PAGE)
    quota = None if limits.cpu is None else max(_LEAST_QUOTA, int(min(limits.cpu, 10_000) * _PERIOD))
    return {
        "devices": [{"allow": False, "access": "rwm"}],  # the runtime allows the standard ones
        "cpu": {
            "shares": max(_LEAST_SHARES, min(int((cores or 0) * 1024), _MOST_SHARES)),
            **({"quota": quota, "period": _PERIOD} if quota is not None else {}),
        },
        "memory": {} if memory is None else {"limit": memory, **({"swap": memory} if limits_swap else {})},
        "pids": {"limit": MOST_PROCESSES},
    }


def oom_score(pod: Object, container: Object, capacity: int) -> int | None:
    """How soon the kernel ends the container when this host is out of memory: before Tidegate, and before containers
    that asked for more memory. None for a Guaranteed Pod: a lower score than Tidegate's own takes CAP_SYS_RESOURCE.
    `capacity`: of this host, in bytes. Rule: pkg/kubelet/qos/policy.go."""
    kind = quality(pod)
    if kind == "Guaranteed":
        return None
    if kind == "BestEffort":
        return _MOST_OOM_SCORE
    asked = ((container.get("resources") or {}).get("requests") or {}).get("memory")
    part = _amount("memory", asked) / capacity if asked is not None else 0.0
    return min(max(2, int(_MOST_OOM_SCORE * (1 - part))), _MOST_OOM_SCORE - 1)


def _amount(name: str, text: object) -> float:
    try:
        return float(quantities.parse(text).amount)
    except ValueError as error:
        raise LaunchRejected(CONFIG_ERROR, f"resources: {name}: {error}") from error
