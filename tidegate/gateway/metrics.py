# SPDX-License-Identifier: Apache-2.0
"""Metrics for Prometheus: of every revision, as the gates count them, and of the Envoys (`envoy_statistics.py`).

In: load reports, and the Envoys' statistics at each scrape. Out: text in the format of Prometheus. Called by:
`gateway.py` for every report; the API server for /metrics.

Counters never decrease: the counts of a gateway that has ended stay in the sum. Gauges are of gateways that have
reported in the last second.
"""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from typing import TypeVar

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from tidegate.client.informer import Informer
from tidegate.gateway import envoy_statistics
from tidegate.kit.clock import Clock
from tidegate.model.load import LATENCY_BOUNDS, Latency, LoadReport
from tidegate.model.objects import Key

_FRESH_SECONDS = 1.0  # a gate reports an active revision ten times a second
_LABELS = ("namespace", "revision")
_CODE_LABELS = ("response_code", "response_code_class")  # those of Knative's revision_request_count
LabelValue = TypeVar("LabelValue", str, int, float)


class Metrics:
    """The metrics of all revisions that exist."""

    def __init__(self, revisions: Informer, admin_sockets: Collection[Path], clock: Clock) -> None:
        self._revisions = revisions
        self._admin_sockets = admin_sockets
        self._clock = clock
        self._newest: dict[Key, dict[str, LoadReport]] = {}  # by revision and gateway
        self._cold_starts: Counter[Key] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def report(self, report: LoadReport) -> None:
        """Take in one gateway's counters of one revision."""
        of_revision = self._newest.setdefault(report.revision, {})
        if _is_cold(report) and not _is_cold(of_revision.get(report.gateway)):
            self._cold_starts[report.revision] += 1
        of_revision[report.gateway] = report

    async def text(self) -> bytes:
        """All metrics; without Envoy's while no Envoy runs."""
        for deleted in [revision for revision in self._newest if self._revisions.get(revision) is None]:
            del self._newest[deleted]
            self._cold_starts.pop(deleted, None)
        return generate_latest(self._registry) + await envoy_statistics.scrape(self._admin_sockets)

    def collect(self) -> Iterator[Metric]:
        """The gates' metrics, in the form that prometheus_client asks for."""
        requests = _counter("requests", "Requests that arrived, including mirrored copies.")
        responses = _counter("responses", "Responses by status code, including those sent by the gate.", *_CODE_LABELS)
        refused = _counter("refused", "Requests that the gate rejected, by reason.", "reason")
        copies = _counter("mirrored_requests", "Mirrored copies of requests that arrived.")
        copies_answered = _counter(
            "mirrored_responses", "Responses of instances to mirrored copies, by status code.", *_CODE_LABELS
        )
        copies_dropped = _counter("mirrored_refused", "Mirrored copies that the gate dropped, by reason.", "reason")
        busy = _counter("concurrency_seconds", "Integral over time of the requests at instances and in the queue.")
        queued = _counter("queue_seconds", "Integral over time of the requests that wait for an instance.")
        cold = _counter("cold_starts", "How often a request arrived while the revision had no instance.")
        latency = _histogram("request_latency_seconds", "Time from a request's arrival to the end of its response.")
        of_apps = _histogram(
            "app_request_latency_seconds",
            "Time from a request's assignment to an instance to the end of its response.",
        )
        running = _gauge("in_flight", "Requests at instances now.")
        waiting = _gauge("queued", "Requests that wait for an instance now.")
        for revision, gateways in self._newest.items():
            reports = gateways.values()
            requests.add_metric(revision, sum(report.requests for report in reports))
            busy.add_metric(revision, sum(report.concurrency_seconds for report in reports))
            queued.add_metric(revision, sum(report.queue_seconds for report in reports))
            cold.add_metric(revision, self._cold_starts[revision])
            _add_codes(responses, revision, (report.responses for report in reports))
            _add_reasons(refused, revision, (report.refused for report in reports))
            mirrored = [report.mirrored for report in reports if report.mirrored.requests]
            if mirrored:
                copies.add_metric(revision, sum(each.requests for each in mirrored))
            _add_codes(copies_answered, revision, (each.responses for each in mirrored))
            _add_reasons(copies_dropped, revision, (each.refused for each in mirrored))
            _add_latency(latency, revision, [report.request_latency for report in reports])
            _add_latency(of_apps, revision, [report.app_request_latency for report in reports])
            fresh = [report for report in reports if self._clock.monotonic() - report.time < _FRESH_SECONDS]
            running.add_metric(revision, sum(report.in_flight for report in fresh))
            waiting.add_metric(revision, sum(report.queued for report in fresh))
        yield from (requests, responses, refused, copies, copies_answered, copies_dropped)
        yield from (busy, queued, cold, latency, of_apps, running, waiting)


def _is_cold(report: LoadReport | None) -> bool:
    """Whether requests wait and the revision has no instance."""
    return report is not None and report.queued > 0 and not report.hosts


def _counter(name: str, text: str, *labels: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"tidegate_revision_{name}", text, labels=[*_LABELS, *labels])


def _histogram(name: str, text: str) -> HistogramMetricFamily:
    return HistogramMetricFamily(f"tidegate_revision_{name}", text, labels=_LABELS)


def _gauge(name: str, text: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"tidegate_revision_{name}", text, labels=_LABELS)


def _add_codes(family: CounterMetricFamily, revision: Key, counts: Iterable[Mapping[int, int]]) -> None:
    for code, count in _summed(counts):
        family.add_metric([*revision, str(code), f"{code // 100}xx"], count)


def _add_reasons(family: CounterMetricFamily, revision: Key, counts: Iterable[Mapping[str, int]]) -> None:
    for reason, count in _summed(counts):
        family.add_metric([*revision, reason], count)


def _add_latency(family: HistogramMetricFamily, revision: Key, latencies: Collection[Latency]) -> None:
    within = dict(_summed(latency.within for latency in latencies))
    running = accumulate(within.get(bound, 0) for bound in LATENCY_BOUNDS)
    buckets = [
        ("+Inf" if math.isinf(bound) else str(bound), count)
        for bound, count in zip(LATENCY_BOUNDS, running, strict=True)
    ]
    family.add_metric(revision, buckets, sum(latency.seconds for latency in latencies))


def _summed(counts: Iterable[Mapping[LabelValue, int]]) -> list[tuple[LabelValue, int]]:
    """Each name's count over all gateways, in order."""
    total: Counter[LabelValue] = Counter()
    for of_gateway in counts:
        total.update(of_gateway)
    return sorted(total.items())
