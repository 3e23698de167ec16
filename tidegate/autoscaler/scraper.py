# SPDX-License-Identifier: Apache-2.0
"""Scrapes the Prometheus metrics of instances, for classes that scale by them.

In: questions (`scraped`), the Pods, the answers of their metrics endpoints. Out: one metric of each ready instance.
Called by: the class HPA, with every decision on a revision with such a metric; `autoscaler.py` builds and runs it.

A revision is scraped from the first question about it until questions stop (`kit/sampling.py`), independently of other
revisions. A counter gives the rate between two scrapes, so an instance is known from the second scrape on.

The usual annotations of a Pod name its endpoint:

| annotation             | default    |                                                                              |
| --- | --- | --- |
| `prometheus.io/port`   | serving    | the serving container's port stands for the port that the instance was given |
| `prometheus.io/path`   | `/metrics` |                                                                              |
| `prometheus.io/scheme` | `http`     | or `https`                                                                   |
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import NamedTuple

import httpx

from tidegate.autoscaler import exposition
from tidegate.autoscaler.exposition import Reading, Unreadable
from tidegate.client.informer import Informer
from tidegate.client.informers import ready_pods
from tidegate.kit.clock import Clock
from tidegate.kit.sampling import EVERY, Demand, Total
from tidegate.model import pods
from tidegate.model.objects import Key, Object, annotations, key, spec
from tidegate.reconcile.queue import WorkQueue

PORT = "prometheus.io/port"
PATH = "prometheus.io/path"
SCHEME = "prometheus.io/scheme"

_TIMEOUT = 2.0  # seconds for an answer, from its first to its last byte
_AT_ONCE = 20
_LARGEST = 2**20  # bytes of an answer, unpacked
_HEADERS = {
    "accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "accept-encoding": "identity",
    "user-agent": "tidegate",
}


class Scraped(NamedTuple):
    """A metric of the ready instances of a revision. `failure` has the reason for the first one without a value."""

    values: tuple[float, ...] = ()
    is_rate: bool = False
    failure: str = ""


class _Name(NamedTuple):
    """A metric of a revision."""

    revision: Key
    metric: str


class _Target:
    """The last values, while the metric is in demand."""

    def __init__(self) -> None:
        self.totals: Mapping[Key, Total] = {}  # by ready Pod, if the metric is a counter
        self.scraped = Scraped()

    def take(self, answers: Mapping[Key, Reading | str], now: float) -> None:
        """Take the values of the ready Pods, or the reasons for missing ones."""
        readings = {pod: answer for pod, answer in answers.items() if isinstance(answer, Reading)}
        before = self.totals
        self.totals = {pod: Total(now, reading.value) for pod, reading in readings.items() if reading.is_total}
        values = [
            self.totals[pod].rate_since(before.get(pod)) if reading.is_total else reading.value
            for pod, reading in readings.items()
        ]
        failures = [f"pod {pod.name} {answer}" for pod, answer in answers.items() if isinstance(answer, str)]
        self.scraped = Scraped(
            values=tuple(value for value in values if value is not None),
            is_rate=bool(self.totals),
            failure=min(failures, default=""),
        )


class Scraper:
    """Scrapes the metrics in demand. `timeout`: the seconds that an instance has for its answer."""

    def __init__(
        self,
        *,
        pods: Informer,
        clock: Clock,
        transport: httpx.AsyncBaseTransport | None = None,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._pods = pods
        self._clock = clock
        self._timeout = timeout
        self._transport = transport
        self._demand: Demand[_Name] = Demand(clock)
        self._targets: dict[_Name, _Target] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self._work: WorkQueue[_Name] = WorkQueue("scraper", self._scrape, workers=_AT_ONCE, clock=clock)

    def scraped(self, revision: Key, metric: str) -> Scraped:
        """The last values of the metric; empty at the first question."""
        name = _Name(revision, metric)
        self._demand.ask(name)
        target = self._targets.get(name)
        if target is None:
            target = self._targets[name] = _Target()
            self._work.wake(name)
        return target.scraped

    async def run(self) -> None:
        """Scrape until cancelled."""
        async with self._new_client() as self._client:
            await self._work.run()

    def _new_client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            headers=_HEADERS,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # all apps of this host have one address
            timeout=self._timeout,
            trust_env=False,
            transport=self._transport,
            verify=False,  # noqa: S501 - the URL has an address, and certificates have names
        )

    async def _scrape(self, name: _Name) -> None:
        """Scrape all ready instances at once, and again after 3 s."""
        target = self._targets[name]
        if not self._demand.holds(name):
            del self._targets[name]
            return
        ready = ready_pods(self._pods, name.revision)
        urls = without_shared([url_of(pod) for pod in ready])
        answers = await asyncio.gather(*(self._read(url, name.metric) for url in urls))
        target.take({key(pod): answer for pod, answer in zip(ready, answers, strict=True)}, self._clock.monotonic())
        self._work.wake_after(name, EVERY)

    async def _read(self, url: httpx.URL | str, metric: str) -> Reading | str:
        """The metric of an instance, or the reason why it has none. `url` may be that reason."""
        if isinstance(url, str):
            return url
        try:
            async with self._slots, asyncio.timeout(self._timeout), self._client.stream("GET", url) as answer:
                if answer.status_code != httpx.codes.OK:
                    return f"answers {answer.status_code} at {url}"
                text = await _text(answer)
            return exposition.read(text, answer.headers.get("content-type", ""), metric)
        except (TimeoutError, httpx.TimeoutException):
            return f"does not answer within {self._timeout:g} s at {url}"
        except httpx.HTTPError as error:
            return f"does not answer at {url}: {error}"
        except (Unreadable, UnicodeDecodeError) as error:
            return f"{error} at {url}" if isinstance(error, Unreadable) else f"answers no text at {url}"


async def _text(answer: httpx.Response) -> str:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > _LARGEST:
            raise Unreadable(f"answers more than {_LARGEST} bytes")
    return body.decode()


def url_of(pod: Object) -> httpx.URL | str:
    """The URL of a Pod's metrics, or the reason why it has none."""
    given, serving = annotations(pod), str(pods.serving_port(spec(pod)))
    address, _, own = (pods.endpoint(pod) or "").rpartition(":")
    asked, scheme = given.get(PORT) or serving, given.get(SCHEME) or "http"
    port = own if asked == serving else asked
    if not address:
        return "has no address"
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 2**16):
        return f"has no port in {PORT}: {asked}"
    if scheme not in ("http", "https"):
        return f"has neither http nor https in {SCHEME}: {scheme}"
    path = given.get(PATH) or "/metrics"
    path = path if path.startswith("/") else f"/{path}"
    try:
        return httpx.URL(scheme=scheme, host=address, port=int(port), raw_path=path.encode())
    except (httpx.InvalidURL, UnicodeDecodeError) as error:
        return f"has no path in {PATH}: {error}"


def without_shared(urls: Sequence[httpx.URL | str]) -> list[httpx.URL | str]:
    """The URLs, with an error for a URL that several instances share: its one listener would count for all of them."""
    times = Counter(urls)
    return [
        f"shares {url} with others; expose metrics at $PORT" if isinstance(url, httpx.URL) and times[url] > 1 else url
        for url in urls
    ]
