# SPDX-License-Identifier: Apache-2.0
"""Metrics of instances, in virtual time, over a network in memory."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping

import httpx
import pytest

from tidegate.autoscaler.scraper import Scraped, Scraper, url_of
from tidegate.client.informer import Informer
from tidegate.client.memory import MemoryCluster
from tidegate.kit.clock import VirtualClock, settle
from tidegate.model import kinds, names
from tidegate.model.indexes import by_label
from tidegate.model.objects import Key, Object

ROUND = 3.0  # seconds between two scrapes
REVISION = Key("default", "app")

Answer = Callable[[], httpx.Response]


def pod(
    name: str = "a", port: int = 20001, annotations: Mapping[str, str] | None = None, *, ready: bool = True
) -> Object:
    """An instance whose serving container names port 8080, and which got another port."""
    return {
        "metadata": {
            "namespace": "default",
            "name": name,
            "labels": {names.REVISION: REVISION.name},
            "annotations": {names.PORT: str(port)} | dict(annotations or {}),
        },
        "spec": {"containers": [{"ports": [{"containerPort": 8080}]}]},
        "status": {"podIP": "127.0.0.1", "conditions": [{"type": "Ready", "status": str(ready)}]},
    }


class World:
    """A scraper, Pods, and the answers by port."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.cluster = MemoryCluster()
        self.answers: dict[int, Answer] = {}
        self.asked: Counter[str] = Counter()
        self.cookies: set[str] = set()
        self.at_once = self.most_at_once = 0
        self.pods = Informer(self.cluster, kinds.POD, indexes={"revision": by_label(names.REVISION)}, clock=self.clock)
        self.scraper = Scraper(
            pods=self.pods, clock=self.clock, transport=httpx.MockTransport(self._answer), timeout=0.05
        )

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked[str(request.url)] += 1
        self.cookies.update(request.headers.get_list("cookie"))
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        await asyncio.sleep(0)
        self.at_once -= 1
        answer = self.answers.get(request.url.port or 0)
        if answer is None:
            raise httpx.ConnectError("connection refused")
        return answer()

    async def given(self, *pods: Object) -> None:
        for each in pods:
            self.cluster.put(kinds.POD, each)
        await settle()

    def answers_with(self, port: int, text: str) -> None:
        """Set an answer from now on."""
        self.answers[port] = lambda: httpx.Response(200, text=text)

    def ask(self, metric: str = "depth") -> Scraped:
        return self.scraper.scraped(REVISION, metric)

    async def later(self, metric: str = "depth", rounds: int = 1) -> Scraped:
        """The values after a number of scrapes, with questions all the time."""
        for _ in range(rounds):
            self.ask(metric)
            await self.clock.advance(ROUND)
            await settle(500)
        return self.ask(metric)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    tasks = [asyncio.create_task(part) for part in (world.pods.run(), world.scraper.run())]
    await settle()
    yield world
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_gauge_is_the_value_of_each_ready_instance(world: World) -> None:
    await world.given(pod("a", 20001), pod("b", 20002), pod("c", 20003, ready=False))
    world.answers_with(20001, 'depth{of="x"} 3\ndepth{of="y"} 4\n')
    world.answers_with(20002, "depth 5\n")

    assert world.ask() == Scraped()
    assert await world.later() == Scraped((7.0, 5.0))
    assert set(world.asked) == {"http://127.0.0.1:20001/metrics", "http://127.0.0.1:20002/metrics"}


async def test_a_counter_gives_the_rate_between_two_scrapes(world: World) -> None:
    await world.given(pod())
    world.answers_with(20001, "jobs_total 100\n")
    world.ask("jobs")
    await settle(500)
    assert world.ask("jobs") == Scraped((), is_rate=True)

    world.answers_with(20001, "jobs_total 130\n")
    assert await world.later("jobs") == Scraped((10.0,), is_rate=True)

    world.answers_with(20001, "jobs_total 2\n")  # it began again
    assert await world.later("jobs") == Scraped((), is_rate=True)

    world.answers_with(20001, "jobs_total 5\n")
    assert await world.later("jobs") == Scraped((1.0,), is_rate=True)


async def test_no_instance_is_scraped_without_demand(world: World) -> None:
    await world.given(pod())
    world.answers_with(20001, "depth 1\n")
    await world.clock.advance(600)
    assert not world.asked

    await world.later(rounds=10)
    assert world.asked.total() >= 10

    await world.clock.advance(60)
    before = world.asked.total()
    await world.clock.advance(600)
    assert world.asked.total() == before
    assert world.ask() == Scraped()  # what was known then says nothing of now
    assert await world.later() == Scraped((1.0,))


async def test_the_number_of_simultaneous_scrapes_is_limited(world: World) -> None:
    ports = range(20001, 20101)
    await world.given(*(pod(f"p{port}", port) for port in ports))
    for port in ports:
        world.answers_with(port, "depth 1\n")

    assert await world.later() == Scraped((1.0,) * 100)
    assert world.most_at_once == 20


def status(code: int) -> Answer:
    return lambda: httpx.Response(code, text="depth 9\n")


def endless() -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        while True:
            yield b"depth 9\n" * 1000

    return httpx.Response(200, content=body())


def hanging() -> httpx.Response:
    async def body() -> AsyncIterator[bytes]:
        yield b"depth 9\n"
        await asyncio.Event().wait()

    return httpx.Response(200, content=body())


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (None, "does not answer at {}: connection refused"),
        (status(404), "answers 404 at {}"),
        (status(302), "answers 302 at {}"),
        (endless, "answers more than 1048576 bytes at {}"),
        (lambda: httpx.Response(200, text="other 9\n"), "does not report depth at {}"),
        (lambda: httpx.Response(200, content=b'depth{of="\xff"} 9\n'), "answers no text at {}"),
    ],
    ids=["refused", "404", "302", "endless", "another", "bytes"],
)
async def test_an_instance_without_the_metric_is_left_out_with_the_reason(
    world: World, answer: Answer | None, failure: str
) -> None:
    await world.given(pod("a", 20001), pod("b", 20002))
    world.answers_with(20001, "depth 1\n")
    if answer is not None:
        world.answers[20002] = answer

    reason = failure.format("http://127.0.0.1:20002/metrics")
    assert await world.later() == Scraped((1.0,), failure=f"pod b {reason}")


async def test_no_instance_gets_the_cookies_of_another(world: World) -> None:
    await world.given(pod("a", 20001), pod("b", 20002))
    for port in (20001, 20002):
        world.answers[port] = lambda: httpx.Response(200, text="depth 1\n", headers={"set-cookie": "secret=1; path=/"})
    await world.later(rounds=3)

    assert world.cookies == set()


async def test_an_endless_answer_is_cut_off(world: World) -> None:
    await world.given(pod())
    world.answers[20001] = hanging
    world.ask()
    while not world.ask().failure:
        await asyncio.sleep(0.01)

    assert world.ask() == Scraped(failure="pod a does not answer within 0.05 s at http://127.0.0.1:20001/metrics")


async def test_instances_that_share_an_endpoint_are_not_counted(world: World) -> None:
    shared = {"prometheus.io/port": "9100"}
    await world.given(pod("a", 20001, shared))
    world.answers_with(9100, "depth 4\n")
    assert await world.later() == Scraped((4.0,))

    await world.given(pod("b", 20002, shared))
    assert await world.later() == Scraped(
        failure="pod a shares http://127.0.0.1:9100/metrics with others; expose metrics at $PORT"
    )


@pytest.mark.parametrize(
    ("annotations", "url"),
    [
        ({}, "http://127.0.0.1:20001/metrics"),
        ({"prometheus.io/port": "8080"}, "http://127.0.0.1:20001/metrics"),  # what it serves on, wherever that is
        ({"prometheus.io/port": "9100"}, "http://127.0.0.1:9100/metrics"),
        ({"prometheus.io/path": "/stats?format=prometheus"}, "http://127.0.0.1:20001/stats?format=prometheus"),
        ({"prometheus.io/path": "stats"}, "http://127.0.0.1:20001/stats"),
        ({"prometheus.io/scheme": "https"}, "https://127.0.0.1:20001/metrics"),
        ({"prometheus.io/path": "/größe"}, "has no path in prometheus.io/path: "),
        ({"prometheus.io/port": "80@example.com"}, "has no port in prometheus.io/port: 80@example.com"),
        ({"prometheus.io/port": "70000"}, "has no port in prometheus.io/port: 70000"),
        ({"prometheus.io/port": "metrics"}, "has no port in prometheus.io/port: metrics"),
        ({"prometheus.io/scheme": "file"}, "has neither http nor https in prometheus.io/scheme: file"),
    ],
)
def test_annotations_name_the_metrics_endpoint_of_an_instance(annotations: dict[str, str], url: str) -> None:
    assert str(url_of(pod(annotations=annotations))).startswith(url)
