# SPDX-License-Identifier: Apache-2.0
"""The snapshot: look-ups, and notifications of its subscribers."""

from envoy.config.cluster.v3 import cluster_pb2

from tidegate.model.objects import Key
from tidegate.xds.resource import CLUSTER_TYPE, ENDPOINTS_TYPE, XdsResource, packed
from tidegate.xds.snapshot import Snapshot


def resource(content: str = "") -> XdsResource:
    return packed("hello", Key("default", "hello"), cluster_pb2.Cluster(name="hello", alt_stat_name=content))


def test_a_version_depends_on_the_content_alone() -> None:
    assert resource("a").version == resource("a").version
    assert resource("a").version != resource("b").version
    assert resource().type == CLUSTER_TYPE


def test_subscribers_are_notified_of_changed_content_alone() -> None:
    changes: list[tuple[str, str]] = []
    snapshot = Snapshot()
    snapshot.subscribe(lambda type_url, name: changes.append((type_url, name)))

    for content in ("a", "a", "b"):
        snapshot.put(resource(content))
    for type_url in (CLUSTER_TYPE, CLUSTER_TYPE, ENDPOINTS_TYPE):
        snapshot.drop(type_url, "hello")

    assert changes == [(CLUSTER_TYPE, "hello")] * 3


def test_a_resource_is_found_until_it_is_dropped() -> None:
    snapshot = Snapshot()
    snapshot.put(resource("a"))
    assert snapshot.get(CLUSTER_TYPE, "hello") == resource("a")
    assert list(snapshot.all(CLUSTER_TYPE)) == ["hello"]

    snapshot.drop(CLUSTER_TYPE, "hello")
    assert snapshot.get(CLUSTER_TYPE, "hello") is None
    assert not snapshot.all(CLUSTER_TYPE)


def test_a_former_subscriber_is_not_notified() -> None:
    changes: list[str] = []

    def changed(type_url: str, name: str) -> None:
        changes.append(name)

    snapshot = Snapshot()
    snapshot.subscribe(changed)
    snapshot.unsubscribe(changed)
    snapshot.put(resource())

    assert not changes


def test_an_envoy_may_have_a_resource_of_its_own_instead() -> None:
    changes: list[tuple[str, str]] = []
    snapshot = Snapshot()
    snapshot.put(resource("a"))
    snapshot.subscribe(lambda type_url, name: changes.append((type_url, name)))

    for content in ("b", "b"):
        snapshot.put_own(resource(content), "one")
    assert snapshot.get(CLUSTER_TYPE, "hello", "one") == resource("b")
    assert snapshot.get(CLUSTER_TYPE, "hello", "two") == resource("a")

    for _ in range(2):
        snapshot.drop_own(CLUSTER_TYPE, "hello", "one")
    assert snapshot.get(CLUSTER_TYPE, "hello", "one") == resource("a")
    assert changes == [(CLUSTER_TYPE, "hello")] * 2


def test_an_envoy_that_has_ended_is_forgotten() -> None:
    snapshot = Snapshot()
    snapshot.put(resource("a"))
    snapshot.put_own(resource("b"), "one")
    snapshot.forget("one")
    assert snapshot.own(CLUSTER_TYPE, "hello", "one") is None
