# SPDX-License-Identifier: Apache-2.0
"""The responses of one type to one Envoy, and the effects of its acknowledgements."""

from collections.abc import Iterable

from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2

from tidegate.model.objects import Key
from tidegate.xds.resource import CLUSTER_TYPE, XdsResource, packed
from tidegate.xds.subscription import Acknowledgement, Subscription


class World:
    """A subscription, and the desired resources: name -> content."""

    def __init__(self, *names: str) -> None:
        self.wanted: dict[str, XdsResource] = {}
        self.held_back: set[str] = set()
        self.put(*names)
        self.subscription = Subscription(CLUSTER_TYPE, self.wanted.get, lambda name, _: name not in self.held_back)

    def put(self, *names: str, content: str = "") -> None:
        for name in names:
            message = cluster_pb2.Cluster(name=name, alt_stat_name=content)
            self.wanted[name] = packed(name, Key("default", name), message)
            if hasattr(self, "subscription"):
                self.subscription.changed(name)

    def drop(self, name: str) -> None:
        del self.wanted[name]
        self.subscription.changed(name)

    def begin(self, known: Iterable[str] = ()) -> discovery_pb2.DeltaDiscoveryResponse | None:
        """Envoy subscribes to everything, and has the current version of these resources."""
        self.subscription.begin({name: self.wanted[name].version for name in known}, (), list(self.wanted))
        return self.subscription.next()

    def settled(self) -> list[list[str]]:
        """Envoy acknowledges every response. Return the names in each."""
        sent = []
        while (response := self.subscription.next()) is not None:
            sent.append(names(response))
            self.subscription.answered(response.nonce, "")
        return sent

    def accept(self, response: discovery_pb2.DeltaDiscoveryResponse | None) -> list[Acknowledgement]:
        assert response is not None
        return self.subscription.answered(response.nonce, "")


def names(response: discovery_pb2.DeltaDiscoveryResponse | None) -> list[str]:
    """Names of the resources in a response, and of its removals with a minus; sorted."""
    assert response is not None
    return [*(each.name for each in response.resources), *(f"-{name}" for name in response.removed_resources)]


def test_the_first_response_has_all_resources() -> None:
    many = [f"cluster-{number}" for number in range(2000)]
    world = World(*many)

    assert sorted(names(world.begin())) == sorted(many)


def test_later_responses_come_in_parts() -> None:
    world = World()
    world.accept(world.begin())

    world.put(*(f"cluster-{number}" for number in range(1200)))

    assert [len(each) for each in world.settled()] == [500, 500, 200]


def test_an_empty_snapshot_gives_a_first_response_too() -> None:
    assert names(World().begin()) == []


def test_a_version_that_envoy_has_is_not_sent_again() -> None:
    world = World("old", "new")

    assert names(world.begin(known=["old"])) == ["new"]


def test_a_resource_of_envoy_that_no_longer_exists_is_removed() -> None:
    world = World("kept")
    world.subscription.begin({"kept": world.wanted["kept"].version, "gone": "1"}, (), ["kept"])

    assert names(world.subscription.next()) == ["-gone"]


def test_a_single_response_is_in_flight_and_changes_meanwhile_are_sent_together() -> None:
    world = World("one", "two")
    first = world.begin()

    world.put("one", content="b")
    world.put("one", content="c")

    assert world.subscription.next() is None
    world.accept(first)
    assert world.settled() == [["one"]]
    assert world.subscription.in_force["one"] == world.wanted["one"].version


def test_a_change_that_is_undone_before_it_is_sent_sends_nothing() -> None:
    world = World("one")
    first = world.begin()
    world.put("one", content="other")
    world.put("one")

    world.accept(first)

    assert world.settled() == []


def test_a_rejected_response_is_sent_again_one_by_one_and_only_the_wrong_resource_stays_out() -> None:
    world = World("good", "bad", "fine")
    first = world.begin()
    assert first is not None
    assert world.subscription.answered(first.nonce, "bad is bad") == []

    outcomes: list[Acknowledgement] = []
    while (response := world.subscription.next()) is not None:
        assert len(names(response)) == 1
        error = "bad is bad" if names(response) == ["bad"] else ""
        outcomes += world.subscription.answered(response.nonce, error)

    assert {outcome.name: outcome.error for outcome in outcomes} == {"good": "", "bad": "bad is bad", "fine": ""}
    assert world.subscription.rejected == {"bad": (world.wanted["bad"].version, "bad is bad")}


def test_a_resource_that_envoy_may_have_applied_from_a_rejected_response_is_removed() -> None:
    world = World("good", "bad")
    world.accept(world.begin())
    world.put("good", "bad", content="new")
    both = world.subscription.next()
    assert both is not None
    world.put("good")

    world.subscription.answered(both.nonce, "bad is bad")

    assert sorted(world.settled()) == [["bad"], ["good"]]


def test_a_rejected_resource_is_sent_again_once_it_has_changed() -> None:
    world = World("bad")
    first = world.begin()
    assert first is not None
    world.subscription.answered(first.nonce, "no")
    world.put("bad")
    assert world.settled() == []

    world.put("bad", content="better")

    assert world.settled() == [["bad"]]
    assert world.subscription.rejected == {}


def test_a_resource_that_may_not_be_sent_yet_does_not_block_others() -> None:
    world = World()
    world.accept(world.begin())
    world.held_back = {"early"}
    world.put("early", "free")
    assert world.settled() == [["free"]]

    world.held_back.clear()

    assert world.settled() == [["early"]]


def test_a_dropped_resource_is_removed_once() -> None:
    world = World("one")
    world.accept(world.begin())

    world.drop("one")

    assert world.settled() == [["-one"]]
    assert world.subscription.in_force == {}


def test_an_old_nonce_has_no_effect() -> None:
    world = World("one")
    world.begin()

    assert world.subscription.answered("0", "") == []
    assert world.subscription.in_force == {}
