# SPDX-License-Identifier: Apache-2.0
"""Figures for Prometheus: of every revision, as the gates count them, and of the gateways as a whole, as Envoy does.

In: load reports; the Envoys' own statistics, asked for when somebody scrapes (their histograms are as of the scrape
before), and summed. Out: text in Prometheus' format. Who: `embedded.py` hands every report to `report`, and `text` to
what answers /metrics.

Counters never go back: those of a gateway that is gone stay in the sum. A gauge is of gateways that have just reported.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import accumulate, chain
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import httpx
import structlog
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric

from tidegate.client.informer import Informer
from tidegate.kit.clock import Clock
from tidegate.model.load import LATENCY_BOUNDS, Latency, LoadReport
from tidegate.model.objects import Key

_FRESH_SECONDS = 1.0  # a gate reports an active revision ten times a second
_ENVOY_SECONDS = 2.0  # for its answer
_ENVOY = (
    r"^(http\.gateway\.downstream_(cx_active|cx_total|rq_active|rq_total|rq_[1-5]xx|rq_time)"
    r"|server\.memory_(allocated|heap_size))$"
)
_LABELS = ("namespace", "revision")
_CODE_LABELS = ("response_code", "response_code_class")  # as of Knative's revision_request_count
Name = TypeVar("Name", str, int, float)
_log = structlog.get_logger("metrics")


class Metrics:
    """What there is to tell of all revisions. One whose object is gone is told of no more."""

    def __init__(self, *, revisions: Informer, admin_sockets: Collection[Path], clock: Clock) -> None:
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
        """All of it; without Envoy's part while there is no Envoy."""
        for gone in [revision for revision in self._newest if self._revisions.get(revision) is None]:
            del self._newest[gone]
            self._cold_starts.pop(gone, None)
        return generate_latest(self._registry) + await self._envoys()

    async def _envoys(self) -> bytes:
        return _sum(await asyncio.gather(*map(self._envoy, self._admin_sockets)))

    async def _envoy(self, admin_socket: Path) -> bytes:
        transport = httpx.AsyncHTTPTransport(uds=str(admin_socket))
        try:
            async with httpx.AsyncClient(transport=transport, timeout=_ENVOY_SECONDS) as client:
                answer = await client.get(f"http://envoy/stats/prometheus?usedonly&filter={quote(_ENVOY)}")
        except httpx.HTTPError as error:
            _log.info("no figures from Envoy", error=str(error))
            return b""
        return answer.content

    def collect(self) -> Iterator[Metric]:
        """The gates' part, as prometheus_client asks for it."""
        requests = _counter("requests", "Requests that arrived.")
        responses = _counter("responses", "Answers by status code, the gate's own included.", *_CODE_LABELS)
        refused = _counter("refused", "Requests that the gate refused, by reason.", "reason")
        copies = _counter("mirrored_requests", "Mirrored copies of requests that arrived.")
        copies_answered = _counter("mirrored_responses", "Instances' answers to copies by status code.", *_CODE_LABELS)
        copies_dropped = _counter("mirrored_refused", "Copies that the gate dropped, by reason.", "reason")
        busy = _counter("concurrency_seconds", "Integral over time of requests in flight and waiting.")
        queued = _counter("queue_seconds", "Integral over time of requests that wait for an instance.")
        cold = _counter("cold_starts", "Times that a request came while there was no instance.")
        latency = _histogram("request_latency_seconds", "From a request's arrival to the end of its answer.")
        of_apps = _histogram("app_request_latency_seconds", "The same from when it got an instance.")
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


def _sum(texts: Collection[bytes]) -> bytes:
    """One text of several that are alike: the sums of all samples that have the same name and labels."""
    if len(texts) == 1:
        return next(iter(texts))
    families: dict[bytes, dict[bytes, float]] = {}  # by the line that gives the type, and by name and labels
    for text in texts:
        samples: dict[bytes, float] = {}
        for line in filter(None, text.splitlines()):
            if line.startswith(b"#"):
                samples = families.setdefault(line, {})
            else:
                name, _, value = line.rpartition(b" ")
                samples[name] = samples.get(name, 0) + float(value)
    lines = ([family, *[b"%s %.15g" % sample for sample in samples.items()]] for family, samples in families.items())
    return b"".join(line + b"\n" for line in chain.from_iterable(lines))


def _is_cold(report: LoadReport | None) -> bool:
    """Whether requests wait for a first instance."""
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


def _summed(counts: Iterable[Mapping[Name, int]]) -> list[tuple[Name, int]]:
    """Each name's count over all gateways, in order."""
    total: Counter[Name] = Counter()
    for of_gateway in counts:
        total.update(of_gateway)
    return sorted(total.items())
