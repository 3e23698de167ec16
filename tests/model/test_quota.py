# SPDX-License-Identifier: Apache-2.0
from fractions import Fraction
from typing import Any

import pytest

from tidegate.model import kinds, quota
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object


def container(name: str = "app", **resources: Any) -> Object:
    return {"name": name, "resources": resources}


def pod(*containers: Object, phase: str = "Pending", **spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"containers": list(containers), **spec}, "status": {"phase": phase}}


def quota_of(**hard: str) -> Object:
    return {"metadata": {"name": "q"}, "spec": {"hard": hard}}


def shown(amounts: quota.Amounts) -> dict[str, float]:
    return {name: float(amount) for name, amount in amounts.items()}


@pytest.mark.parametrize(
    ("kind", "obj", "counted"),
    [
        (kinds.SERVICE, {"metadata": {}}, {"count/services.serving.knative.dev": 1}),
        (kinds.SECRET, {"metadata": {}}, {"count/secrets": 1, "secrets": 1}),
        (kinds.POD, pod(container()), {"count/pods": 1, "pods": 1}),
        (kinds.POD, pod(container(requests={"cpu": "1"}), phase="Failed"), {"count/pods": 1}),
        (
            kinds.POD,
            pod(container(requests={"cpu": "100m"}, limits={"cpu": 1}), container(requests={"cpu": "200m"})),
            {"count/pods": 1, "pods": 1, "cpu": 0.3, "requests.cpu": 0.3, "limits.cpu": 1},
        ),
        (
            kinds.POD,
            pod(container(limits={"memory": "1Ki"})),
            {"count/pods": 1, "pods": 1, "memory": 1024, "requests.memory": 1024, "limits.memory": 1024},
        ),
        (
            kinds.POD,
            pod(container(requests={"cpu": 1}), initContainers=[container(requests={"cpu": 3, "example.com/card": 2})]),
            {"count/pods": 1, "pods": 1, "cpu": 3, "requests.cpu": 3, "requests.example.com/card": 2},
        ),
    ],
    ids=["object", "secret", "pod", "ended", "sum", "limit alone", "init container"],
)
def test_an_object_uses_amounts(kind: Kind, obj: Object, counted: dict[str, float]) -> None:
    assert shown(quota.usage(kind, obj)) == counted


def test_an_exceeded_limit_is_reported_in_the_unit_of_the_limit() -> None:
    limits = quota.hard(quota_of(pods="2", memory="1Gi", cpu="1"))
    asked = {"pods": Fraction(1), "memory": Fraction(512 * 2**20), "cpu": Fraction(1, 2)}
    used = {"pods": Fraction(2), "memory": Fraction(768 * 2**20), "cpu": Fraction(1, 2)}

    assert quota.exceeded(limits, used, asked) == (
        "requested: memory=512Mi,pods=1, used: memory=768Mi,pods=2, limited: memory=1Gi,pods=2"
    )
    assert quota.exceeded(limits, {}, asked) == ""


def test_an_object_without_a_limited_amount_always_fits() -> None:
    limits = quota.hard(quota_of(cpu="1"))

    assert quota.exceeded(limits, {"cpu": Fraction(5)}, {"pods": Fraction(1), "cpu": Fraction(0)}) == ""


def test_a_limit_on_cpu_or_memory_requires_it_in_every_container() -> None:
    limits = quota.hard(quota_of(cpu="1", **{"limits.memory": "1Gi", "pods": "1", "requests.ephemeral-storage": "1"}))

    silent = pod(container("b"), container("a", requests={"cpu": "1"}))
    assert quota.unsaid(limits, silent) == "must specify cpu for: b; limits.memory for: a,b"
    assert quota.unsaid(limits, pod(container(limits={"cpu": "1", "memory": "1"}))) == ""


def test_the_status_has_every_limit_and_its_use() -> None:
    observed = quota.observed_status(quota_of(pods="2", memory="1Gi"), {"memory": Fraction(2**20), "cpu": Fraction(1)})

    assert observed == {"hard": {"pods": "2", "memory": "1Gi"}, "used": {"pods": "0", "memory": "1Mi"}}


def test_a_changed_limit_or_less_use_may_leave_room() -> None:
    def with_status(used: str, **hard: str) -> Object:
        return {**quota_of(**hard), "status": {"used": {"pods": used}}}

    before = with_status("2", pods="2")
    assert quota.eases(before, None)
    assert quota.eases(before, with_status("2", pods="3"))
    assert quota.eases(before, with_status("1", pods="2"))
    assert not quota.eases(before, with_status("3", pods="2"))
    assert not quota.eases(None, before)
