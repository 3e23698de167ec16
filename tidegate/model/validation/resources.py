# SPDX-License-Identifier: Apache-2.0
"""The rules of `resources` of a container, in a revision and in a Pod.

In: decoded `resources`, with valid quantities. Out: errors in Kubernetes' words (k8s.io/kubernetes
pkg/apis/core/validation ValidateResourceRequirements). Knative does not check this: the Deployment that it creates is
rejected. Tidegate has no Deployment, so it rejects the revision.

| error | field |
| --- | --- |
| a name without a domain that is not a resource of a container | requests[NAME] |
| a negative amount | requests[NAME] |
| a fraction of a resource that is indivisible, e.g. nvidia.com/gpu | requests[NAME] |
| a request above its limit | requests |
"""

from collections.abc import Iterator

from tidegate.model.objects import Object
from tidegate.model.text import quantities
from tidegate.model.validation.invalid_value import InvalidValue

_STANDARD = ("cpu", "memory", "ephemeral-storage")
_HUGE_PAGES = "hugepages-"

NEGATIVE = "must be greater than or equal to 0"
NOT_WHOLE = "must be an integer"


def wrong(given: Object) -> Iterator[InvalidValue]:
    requests, limits = given.get("requests") or {}, given.get("limits") or {}
    for field, amounts in (("limits", limits), ("requests", requests)):
        for resource, amount in amounts.items():
            yield from _amount(resource, str(amount), f"{field}[{resource}]")
    for resource, amount in requests.items():
        if resource in limits and quantities.parse(amount).amount > quantities.parse(limits[resource]).amount:
            why = f"must be less than or equal to {resource} limit of {limits[resource]}"
            yield InvalidValue("requests", str(amount), why)


def _amount(resource: str, amount: str, field: str) -> Iterator[InvalidValue]:
    if "/" not in resource and resource not in _STANDARD and not resource.startswith(_HUGE_PAGES):
        yield InvalidValue(field, resource, "must be a standard resource for containers")
    value = quantities.parse(amount).amount
    if value < 0:
        yield InvalidValue(field, amount, NEGATIVE)
    elif "/" in resource and value.denominator != 1:
        yield InvalidValue(field, amount, NOT_WHOLE)
