# SPDX-License-Identifier: Apache-2.0
"""The resources that containers request from their node. Pure.

In: a container of a Pod, or the Pod. Out: amounts by resource name. Called by: quotas, the node's capacity and its
measurements.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from tidegate.model.objects import Object, spec

_NONE = Fraction(0)


def requests(container: Object) -> dict[str, Any]:
    """The requests of a container, as they are written. A resource that has only a limit is requested up to it, which
    is Kubernetes' default."""
    resources = container.get("resources") or {}
    return {**(resources.get("limits") or {}), **(resources.get("requests") or {})}


def of_pod(pod: Object, of_container: Callable[[Object], Mapping[str, Fraction]]) -> dict[str, Fraction]:
    """The amounts of a Pod: the sum of the containers that run together, or what one init container needs with the
    sidecars that run before it, if that is more. Rule: k8s.io/component-helpers/resource, PodRequests."""
    beside: dict[str, Fraction] = {}  # the sidecars among the init containers
    most: dict[str, Fraction] = {}
    for container in spec(pod).get("initContainers") or ():
        amounts = of_container(container)
        if container.get("restartPolicy") == "Always":
            _add(beside, amounts)
        for name, amount in (beside if container.get("restartPolicy") == "Always" else _sum(beside, amounts)).items():
            most[name] = max(most.get(name, _NONE), amount)
    running = dict(beside)
    for container in spec(pod).get("containers") or ():
        _add(running, of_container(container))
    return {name: max(running.get(name, _NONE), most.get(name, _NONE)) for name in {**running, **most}}


def _sum(first: Mapping[str, Fraction], second: Mapping[str, Fraction]) -> dict[str, Fraction]:
    total = dict(first)
    _add(total, second)
    return total


def _add(total: dict[str, Fraction], amounts: Mapping[str, Fraction]) -> None:
    for name, amount in amounts.items():
        total[name] = total.get(name, _NONE) + amount
