# SPDX-License-Identifier: Apache-2.0
"""Changes of Services by users, through all controllers and a real API."""

from pathlib import Path

import pytest

from harness import make
from harness.apiserver import cluster_of, opened
from tests.controllers.world import World, controlled
from tidegate.kit.clock import VirtualClock
from tidegate.model import kinds, names
from tidegate.model.objects import Key, annotations, labels, status


def traffic(world: World) -> list[tuple[str, int]]:
    """Revision and percent, from the status of the Service."""
    entries = status(world.get(kinds.SERVICE, "hello")).get("traffic") or []
    return [(entry["revisionName"], entry["percent"]) for entry in entries]


def splits(world: World) -> list[tuple[str, int]]:
    """Revision and percent of the public host, from the Ingress."""
    rules = world.get(kinds.INGRESS, "hello")["spec"]["rules"]
    paths = next(rule["http"]["paths"] for rule in rules if rule["hosts"] == ["hello.default.example.com"])
    return [(split["serviceName"], split["percent"]) for split in paths[0]["splits"]]


async def ready(world: World, newest: str) -> None:
    def is_so() -> bool:
        return world.is_ready(kinds.SERVICE, "hello") and (
            status(world.get(kinds.SERVICE, "hello"))["latestReadyRevisionName"] == newest
        )

    await world.until(is_so)


async def test_a_new_service_becomes_ready_with_its_urls_and_traffic(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())

        await ready(world, "hello-00001")

        found = dict(status(world.get(kinds.SERVICE, "hello")))
        conditions = found.pop("conditions")
    assert [(entry["type"], entry["status"]) for entry in conditions] == [
        ("ConfigurationsReady", "True"),
        ("Ready", "True"),
        ("RoutesReady", "True"),
    ]
    assert found == {
        "observedGeneration": 1,
        "url": "http://hello.default.example.com:8080",
        "address": {"url": "http://hello.default.svc.cluster.local:8081"},
        "latestCreatedRevisionName": "hello-00001",
        "latestReadyRevisionName": "hello-00001",
        "traffic": [{"revisionName": "hello-00001", "percent": 100, "latestRevision": True}],
    }


async def test_a_new_service_takes_few_writes(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")

    by_controllers = {
        kind.resource: world.writes[kind.resource]
        for kind in (kinds.SERVICE, kinds.CONFIGURATION, kinds.REVISION, kinds.ROUTE, kinds.INGRESS)
    }
    # One creation per object, and a status for every step that users may watch. The gateway writes the Ingress's one.
    assert by_controllers[kinds.INGRESS.resource] == 2
    assert sum(by_controllers.values()) <= 22, by_controllers


async def test_every_child_of_a_service_has_its_label(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")

        for kind in (
            kinds.CONFIGURATION,
            kinds.REVISION,
            kinds.ROUTE,
            kinds.POD_AUTOSCALER,
            kinds.INGRESS,
            kinds.POD,
        ):
            found = world.api.list(kind).items
            assert [labels(obj).get(names.SERVICE) for obj in found] == ["hello"], kind


async def test_events_report_children_and_ready_objects(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())

        wanted = {
            ("Service", "Created"),
            ("Configuration", "Created"),
            ("Configuration", "ConfigurationReady"),
            ("Configuration", "LatestReadyUpdate"),
            ("Revision", "RevisionReady"),
            ("Route", "Created"),
        }
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        await world.until(lambda: world.events() >= wanted)


async def test_a_new_template_creates_a_revision_that_gets_all_traffic_once_it_is_ready(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")

        await world.apply(make.service(template=make.template(labels={"version": "two"})))
        await ready(world, "hello-00002")

        assert (traffic(world), splits(world)) == ([("hello-00002", 100)], [("hello-00002", 100)])
        await world.until(
            lambda: labels(world.get(kinds.REVISION, "hello-00001")).get(names.ROUTING_STATE) == "reserve"
        )
        await world.until(
            lambda: world.get(kinds.POD_AUTOSCALER, "hello-00001")["spec"]["reachability"] == "Unreachable"
        )
        assert labels(world.get(kinds.REVISION, "hello-00002"))[names.ROUTING_STATE] == "active"


async def test_traffic_is_split_by_the_spec_and_a_tag_has_its_own_host(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")
        split = [make.pinned("hello-00001", 90), make.pinned("hello-00002", 10, tag="canary")]
        await world.apply(make.service(template=make.template(labels={"version": "two"}), traffic=split))

        await ready(world, "hello-00002")

        assert splits(world) == [("hello-00001", 90), ("hello-00002", 10)]
        tagged = status(world.get(kinds.SERVICE, "hello"))["traffic"][1]
        assert (tagged["tag"], tagged["url"]) == ("canary", "http://canary-hello.default.example.com:8080")


async def test_traffic_for_a_missing_revision_leaves_the_old_traffic_in_place(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")

        await world.apply(make.service(traffic=[make.pinned("hello-00007")]))

        await world.until(lambda: world.condition(kinds.SERVICE, "hello")[0] == "False")
        why = 'Revision "hello-00007" referenced in traffic not found.'
        assert world.condition(kinds.SERVICE, "hello") == ("False", "RevisionMissing", why)
        assert (traffic(world), splits(world)) == ([("hello-00001", 100)], [("hello-00001", 100)])


async def test_a_failing_revision_leaves_the_previous_one_in_place(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")
        world.node_runs = lambda pod: make.crashed("no database here", code=7)

        await world.apply(make.service(template=make.template(labels={"version": "two"})))

        await world.until(lambda: world.condition(kinds.SERVICE, "hello")[1] == "RevisionFailed")
        message = 'Revision "hello-00002" failed with message: Container failed with: no database here.'
        assert world.condition(kinds.SERVICE, "hello") == ("False", "RevisionFailed", message)
        assert status(world.get(kinds.SERVICE, "hello"))["latestReadyRevisionName"] == "hello-00001"
        assert splits(world) == [("hello-00001", 100)]


async def test_a_service_reports_why_its_first_revision_failed(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        world.node_runs = lambda pod: make.crashed("no database here", code=7)

        await world.apply(make.service())
        await world.until(lambda: world.condition(kinds.ROUTE, "hello")[:2] == ("False", "RevisionMissing"))
        await world.until(lambda: world.condition(kinds.SERVICE, "hello", "RoutesReady")[0] == "False")

        message = 'Revision "hello-00001" failed with message: Container failed with: no database here.'
        for kind in ("Ready", "ConfigurationsReady", "RoutesReady"):
            assert world.condition(kinds.SERVICE, "hello", kind) == ("False", "RevisionFailed", message)


async def test_deleting_a_service_deletes_all_its_children(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")

        await world.delete(kinds.SERVICE, "hello")

        left = (kinds.CONFIGURATION, kinds.ROUTE, kinds.REVISION, kinds.POD_AUTOSCALER, kinds.INGRESS, kinds.POD)
        await world.until(lambda: not any(world.api.list(kind).items for kind in left))


async def test_a_service_with_the_name_of_a_deleted_one_gets_new_revisions(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")
        before = world.get(kinds.REVISION, "hello-00001")["metadata"]["uid"]

        await world.delete(kinds.SERVICE, "hello")
        await world.apply(make.service())

        await world.until(
            lambda: (found := world.find(kinds.REVISION, "hello-00001")) and found["metadata"]["uid"] != before
        )
        await ready(world, "hello-00001")


async def test_a_template_can_name_a_new_revision_or_an_earlier_one(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service(template=make.template(name="hello-one")))
        await ready(world, "hello-one")
        await world.apply(make.service(template=make.template(name="hello-two", labels={"version": "two"})))
        await ready(world, "hello-two")

        await world.apply(make.service(template=make.template(name="hello-one")))

        await ready(world, "hello-one")
        assert splits(world) == [("hello-one", 100)]


async def test_a_taken_revision_name_is_rejected_until_it_is_free(tmp_path: Path) -> None:
    named = make.template(name="hello-you-one")
    async with controlled(tmp_path) as world:
        await world.apply(make.configuration("hello", template=named))
        await world.until(lambda: world.is_ready(kinds.REVISION, "hello-you-one"))

        await world.apply(make.service("hello-you", template=named))

        await world.until(lambda: world.condition(kinds.SERVICE, "hello-you", "RoutesReady")[0] == "False")
        taken = 'The revision name "hello-you-one" is taken by a conflicting Revision, so traffic will not be migrated'
        assert world.condition(kinds.SERVICE, "hello-you", "RoutesReady") == ("False", "RevisionNameTaken", taken)
        await world.until(lambda: world.condition(kinds.SERVICE, "hello-you", "ConfigurationsReady")[0] == "False")
        refused = 'Revision creation failed with message: revisions.serving.knative.dev "hello-you-one" already exists.'
        assert world.condition(kinds.CONFIGURATION, "hello-you") == ("False", "RevisionFailed", refused)
        assert world.find(kinds.ROUTE, "hello-you") is None

        await world.delete(kinds.CONFIGURATION, "hello")
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello-you"))


async def test_a_child_with_another_owner_is_reported_and_not_changed(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.route("hello", traffic=[make.pinned("elsewhere-00001")]))

        await world.apply(make.service())

        await world.until(lambda: world.condition(kinds.SERVICE, "hello", "RoutesReady")[0] == "False")
        why = 'There is an existing Route "hello" that we do not own.'
        assert world.condition(kinds.SERVICE, "hello", "RoutesReady") == ("False", "NotOwned", why)
        assert world.get(kinds.ROUTE, "hello")["spec"]["traffic"] == [make.pinned("elsewhere-00001")]

        await world.delete(kinds.ROUTE, "hello")
        await ready(world, "hello-00001")


async def test_a_change_of_a_child_by_others_is_undone(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")

        route = Key(make.NAMESPACE, "hello")
        await world.cluster.patch(kinds.ROUTE, route, {"spec": {"traffic": [make.pinned("hello-00009")]}})

        await world.until(lambda: world.get(kinds.ROUTE, "hello")["spec"]["traffic"] == [make.latest()])
        await ready(world, "hello-00001")


async def test_a_service_waits_until_the_gateway_has_its_ingress_in_effect(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        world.gateway_complies = False
        await world.apply(make.service())

        await world.until(lambda: world.condition(kinds.ROUTE, "hello", "IngressReady")[1] == "IngressNotConfigured")
        await world.until(lambda: world.condition(kinds.SERVICE, "hello")[1] == "IngressNotConfigured")


async def test_a_cluster_local_service_has_no_public_host(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service(labels={names.VISIBILITY: names.CLUSTER_LOCAL}))

        await ready(world, "hello-00001")

        assert status(world.get(kinds.SERVICE, "hello"))["url"] == "http://hello.default.svc.cluster.local:8081"
        rules = world.get(kinds.INGRESS, "hello")["spec"]["rules"]
        assert [rule["visibility"] for rule in rules] == ["ClusterLocal"]


async def test_a_restarted_controller_continues_without_creating_an_instance_twice(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        world.node_runs = lambda pod: None
        await world.apply(make.service())
        await world.until(lambda: world.pods("hello-00001"))

    async with controlled(tmp_path) as world:
        await ready(world, "hello-00001")

        assert len(world.pods("hello-00001")) == 1, "an instance was made twice"


async def test_a_service_that_was_applied_while_no_controller_ran_becomes_ready(tmp_path: Path) -> None:
    async with opened(tmp_path) as api:
        await cluster_of(api, "somebody").create(kinds.SERVICE, make.new(make.service()))

    async with controlled(tmp_path) as world:
        await ready(world, "hello-00001")


async def test_a_new_domain_reaches_every_route(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")

        await world.configure("config-domain", {"example.org": ""})

        def moved() -> bool:
            return bool(status(world.get(kinds.SERVICE, "hello"))["url"] == "http://hello.default.example.org:8080")

        await world.until(moved)


async def test_a_route_reports_an_annotation_with_an_invalid_value(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service(annotations={names.HTTP_PROTOCOLS[1]: "gopher"}))

        await world.until(lambda: world.condition(kinds.SERVICE, "hello", "RoutesReady")[0] == "False")

        why = "incorrect http-protocol annotation: gopher"
        assert world.condition(kinds.ROUTE, "hello", "IngressReady") == ("False", "ErrorConfig", why)
        assert world.find(kinds.INGRESS, "hello") is None


async def test_a_rejected_revision_is_reported_and_retried_later(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with controlled(tmp_path, clock=clock) as world:
        world.refused.add(kinds.REVISION)
        await world.apply(make.service())
        await world.until(lambda: world.condition(kinds.SERVICE, "hello", "RoutesReady")[0] == "False")

        why = "Revision creation failed with message: not today."
        assert world.condition(kinds.SERVICE, "hello") == ("False", "RevisionFailed", why)
        await world.until(lambda: ("Configuration", "CreationFailed") in world.events())

        world.refused.clear()
        await clock.advance(61)
        await ready(world, "hello-00001")


async def test_mirrored_traffic_is_added_to_the_ingress_and_removed_again(tmp_path: Path) -> None:
    targets = [make.pinned("hello-00001"), {"latestRevision": True, "percent": 0, "tag": "candidate"}]
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await ready(world, "hello-00001")
        second = make.service(template=make.template("tidegate.dev/host:2"), traffic=targets)
        second["metadata"]["annotations"] = {names.MIRROR: "candidate=25"}
        await world.apply(second)
        await ready(world, "hello-00002")

        def copies() -> str:
            return annotations(world.get(kinds.INGRESS, "hello")).get(names.MIRROR, "")

        await world.until(lambda: copies() == "hello-00002=25")
        assert names.MIRROR not in annotations(world.get(kinds.CONFIGURATION, "hello"))
        second["metadata"]["annotations"] = {names.MIRROR: ""}
        await world.apply(second)
        await world.until(lambda: copies() == "")


@pytest.mark.parametrize(
    ("child", "reported"),
    [
        (kinds.CONFIGURATION, {kinds.SERVICE: "ConfigurationsReady"}),
        (kinds.ROUTE, {kinds.SERVICE: "RoutesReady"}),
        (kinds.POD_AUTOSCALER, {kinds.REVISION: "ResourcesAvailable"}),
        (kinds.INGRESS, {kinds.ROUTE: "IngressReady", kinds.SERVICE: "RoutesReady"}),
    ],
)
async def test_a_parent_reports_a_rejected_child_until_the_api_accepts_it(
    tmp_path: Path, child: kinds.Kind, reported: dict[kinds.Kind, str]
) -> None:
    clock = VirtualClock()
    async with controlled(tmp_path, clock=clock) as world:
        world.refused.add(child)
        await world.apply(make.service())

        for kind, condition_type in reported.items():
            name = "hello-00001" if kind == kinds.REVISION else "hello"
            await world.until(lambda: world.condition(kind, name, condition_type)[0] == "False")  # noqa: B023
            _, reason, message = world.condition(kind, name, condition_type)
            assert (reason, message.split(": ", 1)[1]) == ("CreationFailed", "not today")
            assert world.condition(kind, name)[1:] == (reason, message)

        world.refused.clear()
        await clock.advance(61)
        await ready(world, "hello-00001")
