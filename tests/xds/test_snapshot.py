# SPDX-License-Identifier: Apache-2.0
"""What is wanted, and who hears of it."""

from envoy.config.cluster.v3 import cluster_pb2

from tidegate.model.objects import Key
from tidegate.xds.resource import CLUSTER, ENDPOINTS, XdsResource, packed
from tidegate.xds.snapshot import Snapshot


def resource(content: str = "") -> XdsResource:
    return packed("hello", Key("default", "hello"), cluster_pb2.Cluster(name="hello", alt_stat_name=content))


def test_a_version_is_the_content_alone() -> None:
    assert resource("a").version == resource("a").version
    assert resource("a").version != resource("b").version
    assert resource().type == CLUSTER


def test_listeners_hear_of_real_changes_alone() -> None:
    told: list[tuple[str, str]] = []
    snapshot = Snapshot()
    snapshot.listen(lambda type_url, name: told.append((type_url, name)))

    for content in ("a", "a", "b"):
        snapshot.put(resource(content))
    for type_url in (CLUSTER, CLUSTER, ENDPOINTS):
        snapshot.drop(type_url, "hello")

    assert told == [(CLUSTER, "hello")] * 3


def test_what_is_put_is_found_until_it_is_dropped() -> None:
    snapshot = Snapshot()
    snapshot.put(resource("a"))
    assert snapshot.get(CLUSTER, "hello") == resource("a")
    assert list(snapshot.all(CLUSTER)) == ["hello"]

    snapshot.drop(CLUSTER, "hello")
    assert snapshot.get(CLUSTER, "hello") is None
    assert not snapshot.all(CLUSTER)


def test_whoever_leaves_hears_no_more() -> None:
    told: list[str] = []

    def listen(type_url: str, name: str) -> None:
        told.append(name)

    snapshot = Snapshot()
    snapshot.listen(listen)
    snapshot.leave(listen)
    snapshot.put(resource())

    assert not told


def test_one_envoy_may_have_something_of_its_own_instead() -> None:
    told: list[tuple[str, str]] = []
    snapshot = Snapshot()
    snapshot.put(resource("a"))
    snapshot.listen(lambda type_url, name: told.append((type_url, name)))

    for content in ("b", "b"):
        snapshot.put_own(resource(content), "one")
    assert snapshot.get(CLUSTER, "hello", "one") == resource("b")
    assert snapshot.get(CLUSTER, "hello", "two") == resource("a")

    for _ in range(2):
        snapshot.drop_own(CLUSTER, "hello", "one")
    assert snapshot.get(CLUSTER, "hello", "one") == resource("a")
    assert told == [(CLUSTER, "hello")] * 2


def test_an_envoy_that_will_not_come_back_is_forgotten() -> None:
    snapshot = Snapshot()
    snapshot.put(resource("a"))
    snapshot.put_own(resource("b"), "one")
    snapshot.forget("one")
    assert snapshot.own(CLUSTER, "hello", "one") is None
