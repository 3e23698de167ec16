# SPDX-License-Identifier: Apache-2.0
"""One Envoy's stream, with an Envoy in memory that follows the protocol: in every order of changes it ends with exactly
the desired resources, and its routes never refer to clusters that it lacks."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.config.route.v3 import route_pb2, scoped_route_pb2
from envoy.service.discovery.v3 import discovery_pb2
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.model.objects import Key
from tidegate.xds.resource import (
    CLUSTER_TYPE,
    ENDPOINTS_TYPE,
    LISTENER_TYPE,
    ROUTES_TYPE,
    SCOPE_TYPE,
    XdsResource,
    packed,
)
from tidegate.xds.snapshot import TYPES, Snapshot
from tidegate.xds.stream import DeltaStream

COUNT = 4
BAD = 9  # a content that Envoy rejects
BAD_ENDPOINTS = ord(str(BAD)) - 1  # the same, as `endpoints` writes it


def named(number: int) -> Key:
    return Key("default", f"{number}")


def cluster(number: int, content: int = 0) -> XdsResource:
    message = cluster_pb2.Cluster(name=f"c{number}", alt_stat_name=str(content))
    return packed(f"c{number}", named(number), message)


def endpoints(number: int, content: int = 0) -> XdsResource:
    message = endpoint_pb2.ClusterLoadAssignment(cluster_name=f"c{number}")
    message.policy.overprovisioning_factor.value = content + 1
    return packed(f"c{number}", named(number), message)


def routes(number: int, clusters: Iterable[int], content: int = 0) -> XdsResource:
    needs = frozenset(f"c{each}" for each in clusters)
    message = route_pb2.RouteConfiguration(name=f"r{number}", internal_only_headers=[*sorted(needs), str(content)])
    return packed(f"r{number}", named(number), message, needs)


def scope(number: int, clusters: Iterable[int]) -> XdsResource:
    message = scoped_route_pb2.ScopedRouteConfiguration(name=f"s{number}", route_configuration_name=f"r{number}")
    return packed(f"s{number}", named(number), message, frozenset(f"c{each}" for each in clusters))


class Wanted:
    """The snapshot as a publisher keeps it: a cluster exists while routes refer to it."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.snapshot.put(packed("http", Key("", "gateway"), listener_pb2.Listener(name="http")))
        self._clusters: dict[int, int] = {}
        self._routes: dict[int, tuple[frozenset[int], int]] = {}

    def lead(self, number: int, clusters: frozenset[int], content: int) -> None:
        self._routes[number] = (clusters, content)
        for each in clusters:
            if each not in self._clusters:
                self.change(each, 0)
        self.snapshot.put(routes(number, clusters, content))
        self.snapshot.put(scope(number, clusters))
        self._sweep()

    def change(self, number: int, content: int) -> None:
        self._clusters[number] = content
        self.snapshot.put(cluster(number, content))
        self.snapshot.put(endpoints(number))

    def move(self, number: int, content: int) -> None:
        if number in self._clusters:
            self.snapshot.put(endpoints(number, content))

    def drop(self, number: int) -> None:
        if self._routes.pop(number, None) is not None:
            self.snapshot.drop(ROUTES_TYPE, f"r{number}")
            self.snapshot.drop(SCOPE_TYPE, f"s{number}")
        self._sweep()

    def repair(self) -> None:
        """Replace every resource that Envoy rejects."""
        for number, content in list(self._clusters.items()):
            if content == BAD:
                self.change(number, 1)
            self.move(number, 1)
        for number, (clusters, content) in list(self._routes.items()):
            if content == BAD:
                self.lead(number, clusters, 1)

    def _sweep(self) -> None:
        referred = {each for clusters, _ in self._routes.values() for each in clusters}
        for number in [each for each in self._clusters if each not in referred]:
            del self._clusters[number]
            self.snapshot.drop(CLUSTER_TYPE, f"c{number}")
            self.snapshot.drop(ENDPOINTS_TYPE, f"c{number}")


class Envoy:
    """Envoy's side of the protocol. Its requests arrive one at a time. Once it has listeners, it acknowledges no
    cluster while one waits for endpoints. It does not request the same endpoints twice, and does not report that it
    waits for them."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.has: dict[str, dict[str, str]] = {type_url: {} for type_url in TYPES}
        self.bodies: dict[tuple[str, str], bytes] = {}
        self.warming: set[str] = set()
        self._snapshot = snapshot
        self._outbox: list[discovery_pb2.DeltaDiscoveryRequest] = []
        self.stream = DeltaStream(snapshot)
        self.connect()

    def connect(self, order: Sequence[str] = TYPES) -> None:
        """Begin a new stream: report the resources of each type, in that order. Messages of the old stream are lost."""
        self._snapshot.unsubscribe(self.stream.changed)
        self._outbox.clear()
        self.stream = DeltaStream(self._snapshot)
        self._snapshot.subscribe(self.stream.changed)
        self.inbox: deque[discovery_pb2.DeltaDiscoveryResponse] = deque()
        self.asked = {type_url: self._needed(type_url) for type_url in (ENDPOINTS_TYPE, ROUTES_TYPE)}
        for type_url in order:
            names = self.asked.get(type_url)
            if names != set():  # Envoy may have nothing yet to request by name
                self._ask(type_url, sorted(names or ()), known=self.has[type_url])

    def _needed(self, type_url: str) -> set[str]:
        if type_url == ENDPOINTS_TYPE:
            return set(self.has[CLUSTER_TYPE])
        return {name.replace("s", "r") for name in self.has[SCOPE_TYPE]}

    def _ask(
        self, type_url: str, names: Iterable[str], unneeded: Iterable[str] = (), known: Mapping[str, str] | None = None
    ) -> None:
        request = discovery_pb2.DeltaDiscoveryRequest(
            type_url=type_url,
            resource_names_subscribe=names,
            resource_names_unsubscribe=unneeded,
            initial_resource_versions=known,
        )
        self._outbox.append(request)

    def say(self) -> bool:
        """Let the next request arrive; False if there is none."""
        paused = CLUSTER_TYPE if self.warming and self.has[LISTENER_TYPE] else ""
        request = next((each for each in self._outbox if each.type_url != paused), None)
        if request is None:
            return False
        self._outbox.remove(request)
        self.stream.receive(request)
        return True

    def receive(self) -> None:
        self.inbox.extend(self.stream.responses())

    def work(self) -> bool:
        """Apply one response; False if there is none."""
        if not self.inbox:
            return False
        response = self.inbox.popleft()
        bad = [each.name for each in response.resources if self._take(response.type_url, each)]
        for name in response.removed_resources:
            self.has[response.type_url].pop(name, None)
            self.warming.discard(name)
        answer = discovery_pb2.DeltaDiscoveryRequest(type_url=response.type_url, response_nonce=response.nonce)
        if bad:
            answer.error_detail.message = f"bad: {bad}"
        self._ask_for_more()
        self._outbox.append(answer)
        self.check()
        return True

    def _take(self, type_url: str, resource: discovery_pb2.Resource) -> bool:
        body = resource.resource.value
        if str(BAD).encode() in body:
            return True
        if type_url == CLUSTER_TYPE and self.has[CLUSTER_TYPE].get(resource.name) != resource.version:
            self.warming.add(resource.name)
        self.has[type_url][resource.name] = resource.version
        self.bodies[type_url, resource.name] = body
        if type_url == ENDPOINTS_TYPE:
            self.warming.discard(resource.name)
        return False

    def _ask_for_more(self) -> None:
        for type_url, asked in self.asked.items():
            needed = self._needed(type_url)
            if needed != asked:
                self._ask(type_url, sorted(needed - asked), sorted(asked - needed))
                for name in asked - needed:
                    self.has[type_url].pop(name, None)
            self.asked[type_url] = needed

    def check(self) -> None:
        """Check that no routes refer to a missing cluster."""
        for name in self.has[ROUTES_TYPE]:
            routes = route_pb2.RouteConfiguration.FromString(self.bodies[ROUTES_TYPE, name])
            assert {each for each in routes.internal_only_headers if each[0] == "c"} <= self.has[CLUSTER_TYPE].keys()

    def settle(self) -> None:
        self.receive()
        while self.say() or self.work():
            self.receive()


numbers = st.integers(0, COUNT - 1)
contents = st.sampled_from([0, 1, 2, BAD])
steps = st.one_of(
    st.tuples(st.just("lead"), numbers, st.frozensets(numbers, min_size=1, max_size=3), contents),
    st.tuples(st.just("change"), numbers, contents),
    st.tuples(st.just("move"), numbers, st.sampled_from([0, 1, 2, BAD_ENDPOINTS])),
    st.tuples(st.just("drop"), numbers),
    st.tuples(st.just("say")),
    st.tuples(st.just("say")),
    st.tuples(st.just("receive")),
    st.tuples(st.just("work")),
    st.tuples(st.just("work")),
    st.tuples(st.just("connect"), st.permutations(TYPES)),
    st.tuples(st.just("settle")),
)


def act(wanted: Wanted, envoy: Envoy, step: tuple[object, ...]) -> None:
    what, *arguments = step
    if what == "change" and f"c{arguments[0]}" not in wanted.snapshot.all(CLUSTER_TYPE):
        return
    target = envoy if what in ("say", "receive", "work", "connect", "settle") else wanted
    getattr(target, str(what))(*arguments)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=60))
def test_envoy_ends_with_the_desired_resources_in_every_order_of_changes(taken: list[tuple[object, ...]]) -> None:
    wanted = Wanted()
    envoy = Envoy(wanted.snapshot)
    for step in taken:
        act(wanted, envoy, step)
    wanted.repair()
    envoy.settle()

    assert not envoy.warming
    for type_url in TYPES:
        there = {name: resource.version for name, resource in wanted.snapshot.all(type_url).items()}
        assert envoy.has[type_url] == there, type_url
        for resource in wanted.snapshot.all(type_url).values():
            assert envoy.stream.in_force(resource)
            assert not envoy.stream.error(resource)


def test_a_cluster_that_is_replaced_before_envoy_requests_endpoints_gets_them_again() -> None:
    wanted = Wanted()
    envoy = Envoy(wanted.snapshot)
    wanted.lead(0, frozenset({0}), 0)
    envoy.settle()
    wanted.change(0, 1)

    envoy.connect((CLUSTER_TYPE, ENDPOINTS_TYPE, SCOPE_TYPE, LISTENER_TYPE, ROUTES_TYPE))
    assert envoy.say()
    envoy.receive()
    envoy.settle()

    assert not envoy.warming


def test_a_cluster_that_waits_since_the_start_of_envoy_gets_its_endpoints_on_the_next_stream() -> None:
    wanted = Wanted()
    envoy = Envoy(wanted.snapshot)
    wanted.lead(0, frozenset({0}), 0)
    envoy.has[CLUSTER_TYPE]["c0"], envoy.has[ENDPOINTS_TYPE]["c0"] = cluster(0).version, endpoints(0).version
    envoy.warming.add("c0")  # without listeners Envoy acknowledges clusters nevertheless

    envoy.connect((CLUSTER_TYPE, ENDPOINTS_TYPE))
    envoy.settle()

    assert not envoy.warming


def test_a_rejected_resource_blocks_no_other_and_is_reported() -> None:
    wanted = Wanted()
    envoy = Envoy(wanted.snapshot)
    for number in range(COUNT):
        wanted.lead(number, frozenset({number}), BAD if number == 1 else 0)
    wanted.change(2, BAD)
    envoy.settle()

    assert envoy.has[ROUTES_TYPE].keys() == {"r0", "r3"}
    assert envoy.stream.error(wanted.snapshot.all(ROUTES_TYPE)["r1"]) == "bad: ['r1']"
    assert envoy.stream.error(wanted.snapshot.all(CLUSTER_TYPE)["c2"]) == "bad: ['c2']"
    assert not envoy.stream.error(wanted.snapshot.all(CLUSTER_TYPE)["c0"])


def test_an_envoy_that_reconnects_with_all_resources_gets_its_endpoints_alone() -> None:
    wanted = Wanted()
    envoy = Envoy(wanted.snapshot)
    wanted.lead(0, frozenset({0, 1}), 0)
    envoy.settle()

    envoy.connect()
    while envoy.say():
        envoy.receive()

    assert [response.type_url for response in envoy.inbox] == [ENDPOINTS_TYPE]
    envoy.settle()
    assert all(envoy.stream.in_force(each) for type_url in TYPES for each in wanted.snapshot.all(type_url).values())


def test_a_cluster_stays_until_the_routes_to_it_are_removed() -> None:
    wanted = Wanted()
    envoy = Envoy(wanted.snapshot)
    wanted.lead(0, frozenset({0}), 0)
    envoy.settle()
    wanted.lead(0, frozenset({1}), 0)

    envoy.receive()
    assert [each.type_url for each in envoy.inbox] == [CLUSTER_TYPE]
    assert not envoy.inbox[0].removed_resources
    envoy.settle()
    assert envoy.has[CLUSTER_TYPE].keys() == {"c1"}


def test_a_cluster_stays_until_envoy_has_reported_its_routes_of_an_earlier_stream() -> None:
    wanted = Wanted()
    envoy = Envoy(wanted.snapshot)
    wanted.lead(0, frozenset({0, 1}), 0)
    envoy.settle()
    wanted.lead(0, frozenset({1}), 0)

    envoy.connect((CLUSTER_TYPE, ENDPOINTS_TYPE, SCOPE_TYPE, ROUTES_TYPE))
    assert envoy.say()
    envoy.receive()
    assert not envoy.inbox
    envoy.settle()
    assert envoy.has[CLUSTER_TYPE].keys() == {"c1"}


def test_a_cluster_stays_while_envoy_rejects_the_routes_that_no_longer_refer_to_it() -> None:
    wanted = Wanted()
    envoy = Envoy(wanted.snapshot)
    wanted.lead(0, frozenset({0, 1}), 0)
    envoy.settle()
    wanted.lead(0, frozenset({0}), BAD)

    envoy.connect()
    envoy.settle()
    assert envoy.has[CLUSTER_TYPE].keys() == {"c0", "c1"}

    wanted.repair()
    envoy.settle()
    assert envoy.has[CLUSTER_TYPE].keys() == {"c0"}


def test_unknown_types_get_no_response() -> None:
    stream = DeltaStream(Snapshot())

    assert (
        stream.receive(
            discovery_pb2.DeltaDiscoveryRequest(type_url="type.googleapis.com/envoy.service.runtime.v3.Runtime")
        )
        == []
    )
    assert list(stream.responses()) == []


def test_the_first_scopes_wait_until_envoy_has_its_clusters() -> None:
    wanted = Wanted()
    for number in range(COUNT):
        wanted.lead(number, frozenset({number}), 0)
    wanted.change(1, BAD)
    envoy = Envoy(wanted.snapshot)
    while not envoy.has[SCOPE_TYPE]:
        assert envoy.say() or envoy.work()
        envoy.receive()

    assert envoy.has[SCOPE_TYPE].keys() == {
        "s0",
        "s2",
        "s3",
    }  # all in one response, except the one whose cluster is rejected
