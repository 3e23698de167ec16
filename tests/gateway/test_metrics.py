# SPDX-License-Identifier: Apache-2.0
"""The metrics for Prometheus."""

import math
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from harness import make
from harness.gate import instances
from harness.gateway import world
from tidegate.client.informer import Informer
from tidegate.client.informers import Informers
from tidegate.gateway.metrics import Metrics
from tidegate.kit.clock import VirtualClock
from tidegate.model.load import LATENCY_BOUNDS, Latency, LoadReport, Mirrored
from tidegate.model.objects import Key

HELLO = Key("default", "hello-00001")
NOW = 1000.0


class Revisions:
    """An informer in which every revision exists except one."""

    def get(self, name: Key) -> Any:
        return None if name.name == "deleted" else {}


def metrics(*folders: Path, revisions: Any = None) -> Metrics:
    """With the statistics of the Envoys of these folders."""
    informer: Informer = revisions or Revisions()  # type: ignore[assignment]
    sockets = [folder / "admin.sock" for folder in folders]
    return Metrics(informer, sockets, VirtualClock(NOW))


def report(gateway: str = "1-1", revision: Key = HELLO, **counts: Any) -> LoadReport:
    none: dict[str, Any] = {
        "time": NOW,
        "in_flight": 0,
        "queued": 0,
        "requests": 0,
        "concurrency_seconds": 0.0,
        "queue_seconds": 0.0,
        "responses": {},
        "refused": {},
        "hosts": {},
    }
    return LoadReport(revision=revision, gateway=gateway, **{**none, **counts})


async def samples(metrics: Metrics) -> dict[str, float]:
    """By name and labels other than the revision's: "responses_total 200 2xx"."""
    found = {}
    for family in text_string_to_metric_families((await metrics.text()).decode()):
        for sample in family.samples:
            more = [value for label, value in sample.labels.items() if label not in ("namespace", "revision")]
            found[" ".join([sample.name.removeprefix("tidegate_revision_"), *more])] = sample.value
    return found


async def test_counters_of_several_gateways_are_summed(tmp_path: Path) -> None:
    exported = metrics(tmp_path)

    exported.report(report("1-1", requests=3, responses={200: 2, 503: 1}, refused={"deadline": 1}, queue_seconds=1.5))
    exported.report(report("2-1", requests=4, responses={200: 3, 201: 1}))

    found = await samples(exported)
    assert found["requests_total"] == 7
    assert found["responses_total 200 2xx"] == 5
    assert found["responses_total 201 2xx"] == 1
    assert found["responses_total 503 5xx"] == 1
    assert found["refused_total deadline"] == 1
    assert found["queue_seconds_total"] == 1.5


async def test_mirrored_copies_have_metrics_of_their_own(tmp_path: Path) -> None:
    exported = metrics(tmp_path)

    exported.report(report("1-1", requests=9, responses={200: 4}, mirrored=Mirrored(5, {500: 3}, {"queueFull": 2})))
    exported.report(report("2-1", requests=1, mirrored=Mirrored(1, {500: 1})))

    found = await samples(exported)
    assert found["responses_total 200 2xx"] == 4
    assert "responses_total 500 5xx" not in found
    assert found["mirrored_requests_total"] == 6
    assert found["mirrored_responses_total 500 5xx"] == 4
    assert found["mirrored_refused_total queueFull"] == 2


async def test_gauges_are_of_gateways_that_have_just_reported(tmp_path: Path) -> None:
    exported = metrics(tmp_path)

    exported.report(report("1-1", in_flight=2, queued=1, hosts={"127.0.0.1:1": 2}))
    exported.report(report("2-1", in_flight=5, queued=5, time=NOW - 1))

    found = await samples(exported)
    assert (found["in_flight"], found["queued"]) == (2, 1)


async def test_a_cold_start_counts_once_however_many_wait(tmp_path: Path) -> None:
    exported = metrics(tmp_path)

    for queued, hosts in ((1, {}), (9, {}), (0, {"127.0.0.1:1": 9}), (3, {"127.0.0.1:1": 9}), (0, {}), (1, {})):
        exported.report(report(queued=queued, hosts=hosts))

    assert (await samples(exported))["cold_starts_total"] == 2


async def test_a_deleted_revision_has_no_metrics(tmp_path: Path) -> None:
    exported = metrics(tmp_path)
    exported.report(report(revision=Key("default", "deleted"), requests=1))

    assert await samples(exported) == {}


async def test_latencies_are_histograms_summed_over_gateways(tmp_path: Path) -> None:
    exported = metrics(tmp_path)

    of_app = Latency(1.0, {0.0005: 4})
    exported.report(report("1-1", request_latency=Latency(1.25, {0.005: 3, 0.5: 1}), app_request_latency=of_app))
    exported.report(report("2-1", request_latency=Latency(400.5, {0.005: 1, math.inf: 1})))

    found = await samples(exported)
    within = bucket_counts(found, "request_latency_seconds")
    assert list(within) == list(LATENCY_BOUNDS)
    assert [within[bound] for bound in (0.0025, 0.005, 0.25, 0.5, 300, math.inf)] == [0, 4, 4, 5, 5, 6]
    assert found["request_latency_seconds_sum"] == 401.75
    assert found["request_latency_seconds_count"] == 6
    assert found["app_request_latency_seconds_count"] == 4


def bucket_counts(found: dict[str, float], name: str) -> dict[float, float]:
    """By upper bound."""
    prefix = f"{name}_bucket "
    return {float(key.removeprefix(prefix)): count for key, count in found.items() if key.startswith(prefix)}


async def test_envoys_statistics_are_included(tmp_path: Path) -> None:
    revision = make.revision("hello-00001")
    async with world(tmp_path) as gateway, gateway.envoy() as envoy, instances(1) as (app,):
        await gateway.apply(revision, make.ingress("hello"))
        await gateway.run_at(revision, app)
        await gateway.ready("hello")
        await gateway.get("hello.example.com")
        exported = metrics(envoy.folder, revisions=Informers(gateway.cluster).revisions)

        text = (await exported.text()).decode()

    assert 'envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="gateway"} 1' in text
    assert "envoy_cluster_" not in text  # metrics of revisions are the gate's


async def test_the_statistics_of_several_envoys_are_summed_without_one_that_is_down(tmp_path: Path) -> None:
    total = 'envoy_http_downstream_rq_total{envoy_http_conn_manager_prefix="gateway"} 40'
    async with world(tmp_path) as gateway, gateway.envoy("one") as one, gateway.envoy("two") as two:
        for _ in range(40):
            await gateway.get("nobody.example.com")
        counts = [await envoy.counter("http.gateway.downstream_rq_total") for envoy in (one, two)]

        text = (await metrics(one.folder, two.folder, tmp_path / "none").text()).decode()

    assert sum(counts) == 40
    assert min(counts) > 0
    assert text.splitlines().count(total) == 1
    assert text.count("# TYPE envoy_http_downstream_rq_total ") == 1
