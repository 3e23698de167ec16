# SPDX-License-Identifier: Apache-2.0
"""Routes, compared step by step with recorded reconciles of Knative; gradual rollouts as time series.

Intended differences:

| Knative | here |
| --- | --- |
| placeholder Services and Endpoints; a foreign one in the way | none: the gateway resolves names |
| a tag made local by a label on its placeholder Service | not possible: the Route has a label of its own for that |
| internal TLS: splits go to port 443 | there is no internal hop to encrypt |
| an unset config-domain makes every Route local | `tidegate up --domain` sets the domain |
| ingress class istio by default | ours |
| crashes when a cut share removes the oldest revision of a rollout | continues with the remaining revisions |
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import make
from tests import golden
from tidegate.controllers.serving.route_plan import RouteInputs, RoutePlan, nanoseconds, planned
from tidegate.controllers.serving.route_status import observed_status
from tidegate.model import names
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object, annotations, generation, spec

_WITHOUT_COUNTERPART = {"route-service-not-owned", "route-tag-service-cluster-local"}
_ISTIO = {"ingress-class": "istio.ingress.networking.knative.dev"}


def cases() -> list[Any]:
    files = golden.files("resources", "route-*.json")
    return [pytest.param(path, id=path.stem) for path in files if path.stem not in _WITHOUT_COUNTERPART]


class Recorded:
    """A Route and all that it depends on, from a recorded file. `look` makes one pass of the reconciler."""

    def __init__(self, case: Any) -> None:
        maps = {**case["config"], "config-network": {**_ISTIO, **case["config"].get("config-network", {})}}
        self.configs = Configs.parse(maps, domain="svc.cluster.local")
        self.start = datetime.fromtimestamp(case["t0_unix"], UTC)
        self.route: Object = case["route"]
        self.ingress: Object | None = None
        self.configurations = {entry["name"]: _configuration(entry) for entry in case["configurations"]}
        self.revisions = {entry["name"]: _revision(entry) for entry in case["revisions"]}

    def apply(self, given: Any) -> None:
        for name, latest in (given.get("set_latest_ready") or {}).items():
            before = self.configurations[name]
            self.configurations[name] = {**before, "status": {**before["status"], "latestReadyRevisionName": latest}}
        if given.get("set_traffic"):
            metadata = {**self.route["metadata"], "generation": generation(self.route) + 1}
            self.route = {**self.route, "metadata": metadata, "spec": {"traffic": given["set_traffic"]}}
        if self.ingress is not None and given.get("ingress_ready"):
            self.ingress = make.observed(self.ingress, Ready="True")

    def look(self, at: float) -> RoutePlan:
        """One pass, which also writes the Ingress and the status."""
        view = RouteInputs(self.route, self.configs, lambda scheme: None, self.start + timedelta(seconds=at))
        plan = planned(
            view,
            lambda key: self.configurations.get(key.name),
            lambda key: self.revisions.get(key.name),
            self.ingress,
        )
        # The recorded API counted generations between passes only: a pass sees its own write as an old generation.
        answer = plan.ingress and _written(plan.ingress, self.ingress, counted=False)
        status = observed_status(view, plan, answer)
        self.ingress = _written(plan.ingress, self.ingress, counted=True) if plan.ingress else self.ingress
        self.route = {**self.route, "status": {**status, "observedGeneration": generation(self.route)}}
        return plan


def _configuration(entry: Any) -> Object:
    ready = entry["ready"] or ("True" if entry["latest_ready"] else "Unknown")
    made = make.observed(make.configuration(entry["name"]), Ready=ready)
    latest = {"latestReadyRevisionName": entry["latest_ready"]} if entry["latest_ready"] else {}
    return {**made, "status": {**made["status"], **latest}}


def _revision(entry: Any) -> Object:
    ports = [{"containerPort": 8080, "name": entry["protocol"] or "http1"}]
    made = make.revision(
        entry["name"],
        of=entry["configuration"],
        labels={names.SERVICE: entry["service"]},
        spec=make.template(container={"ports": ports})["spec"],
    )
    return make.observed(made, Ready=entry["ready"] or "True")


def _written(desired: Object, before: Object | None, *, counted: bool) -> Object:
    """The object as the API stores it: the generation counts changes of the spec."""
    if before is None:
        return {**desired, "metadata": {**desired["metadata"], "generation": 1}}
    count = generation(before) + (counted and spec(before) != spec(desired))
    return {**before, **desired, "metadata": {**desired["metadata"], "generation": count}}


def comparable(status: Object) -> Object:
    """The recorded fields of a status."""
    fields = ("status", "reason", "message")
    return {
        "url": status.get("url"),
        "address": status.get("address"),
        "traffic": status.get("traffic"),
        "conditions": {
            entry["type"]: {field: entry[field] for field in fields if field in entry} for entry in status["conditions"]
        },
    }


@pytest.mark.parametrize("path", cases())
def test_a_route_passes_through_the_states_that_knative_records(path: Path) -> None:
    case = golden.load(path)
    recorded = Recorded(case)

    for step in case["steps"]:
        expected = step["expected"]
        recorded.apply(step["input"])
        before = recorded.ingress
        plan = recorded.look(step["at"])
        if "panic" in step or "panic" in expected:
            assert sum(entry["percent"] for entry in recorded.route["status"]["traffic"]) == 100
            break
        assert comparable(recorded.route["status"]) == expected["status"], step["at"]
        if expected.get("ingress"):
            check_ingress(recorded.ingress, expected["ingress"], tls="system-internal-tls" in str(case["config"]))
        else:
            assert recorded.ingress == before, step["at"]
        due = [] if plan.due is None else [(plan.due - nanoseconds(recorded.start)) / 1e9 - step["at"]]
        assert due == pytest.approx(expected["enqueue_after_seconds"], abs=1e-6), step["at"]


def check_ingress(ingress: Object | None, expected: Any, *, tls: bool) -> None:
    assert ingress is not None
    if "rollout_annotation" in expected:
        assert json.loads(annotations(ingress)[names.ROLLOUT]) == expected["rollout_annotation"]
        assert _local_splits(ingress) == expected["rules"]
    else:
        metadata = {field: value for field, value in ingress["metadata"].items() if field != "generation"}
        assert metadata == expected["metadata"]
        assert ingress["spec"] == (
            json.loads(json.dumps(expected["spec"]).replace("443", "80")) if tls else expected["spec"]
        )


def _local_splits(ingress: Object) -> list[Any]:
    return [
        {
            "host": rule["hosts"][0],
            "splits": [
                {"service": split["serviceName"], "percent": split["percent"]}
                for split in rule["http"]["paths"][0]["splits"]
            ],
        }
        for rule in ingress["spec"]["rules"]
        if rule["visibility"] == "ClusterLocal"
    ]


def test_look_ups_get_the_key_of_a_target() -> None:
    asked: list[Key] = []
    view = RouteInputs(make.route(), Configs(), lambda scheme: None, datetime(2026, 1, 1, tzinfo=UTC))

    def look_up(key: Key) -> Object | None:
        asked.append(key)
        return None

    planned(view, look_up, look_up, None)

    assert asked == [Key("default", "hello")]
