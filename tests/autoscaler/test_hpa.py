# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.autoscaler import World
from tidegate.autoscaler.hpa import HpaSpec, HpaState, decide, scaled_by
from tidegate.autoscaler.measures import Measure, cpu, custom, memory
from tidegate.autoscaler.policies import Observed
from tidegate.autoscaler.scraper import Scraped
from tidegate.model.conditions import condition
from tidegate.model.objects import Key
from tidegate.model.usage import Usage

MIB = 2**20
HPA = {"class": "hpa.autoscaling.knative.dev"}


def instances(count: int, *, cores: float = 0.0) -> list[Usage]:
    return [Usage(cpu=cores, cpu_request=0.5, memory=0)] * count


@pytest.mark.parametrize(
    ("ratio", "measured", "current", "wanted"),
    [
        (1.0, 4, 4, 4),
        (1.09, 10, 10, 10),  # within the tolerance
        (0.9, 10, 10, 10),
        (1.5, 4, 4, 6),
        (0.5, 4, 4, 2),
        (2.0, 2, 4, 4),  # two that are not ready use nothing: that makes 1
        (4.0, 2, 4, 8),
        (0.5, 2, 4, 3),  # two that are not ready use what they should
        (0.95, 2, 4, 4),
    ],
)
def test_a_ratio_becomes_a_number_as_kubernetes_does_it(ratio: float, measured: int, current: int, wanted: int) -> None:
    assert scaled_by(ratio, measured, current) == wanted


def test_cpu_is_a_share_of_the_request_and_every_other_metric_a_mean() -> None:
    two = [Usage(0.5, 1.0, 100 * MIB), Usage(0.1, 0.5, 300 * MIB)]

    assert cpu(two) == Measure(100 * 0.6 / 1.5, 2, "%")
    assert memory(two) == Measure(200.0, 2, " MiB")
    assert custom(Scraped((3.0, 5.0))) == Measure(4.0, 2)
    assert custom(Scraped((3.0,), is_rate=True, failure="pod b is silent")) == Measure(3.0, 1, "/s")


def test_a_measure_without_any_instance_has_the_reason() -> None:
    assert cpu([Usage(0.5, 0.0, 0)]) == Measure(None, 0, failure="missing request for cpu")
    assert custom(Scraped(failure="pod a is silent")) == Measure(None, 0, failure="pod a is silent")
    assert cpu([]) == memory([]) == custom(Scraped()) == Measure(None, 0)


def busy(scale: int, ready: int | None = None) -> Observed:
    return Observed(stable=5.0, panic=5.0, ready=scale if ready is None else ready, scale=scale)


def run(spec: HpaSpec, load: Sequence[tuple[float, float]], scale: int) -> list[int]:
    """The numbers while instances share a load of that many cores at each time."""
    state, numbers = HpaState(), []
    for when, cores in load:
        decision, state = decide(spec, busy(scale), cpu(instances(scale, cores=cores / scale)), state, when)
        scale = decision.desired
        numbers.append(scale)
    return numbers


def test_the_number_grows_by_four_or_doubles_in_fifteen_seconds() -> None:
    load = [(2.0 * tick, 20.0) for tick in range(20)]

    assert run(HpaSpec(), load, scale=1)[::8] == [5, 10, 20]


def test_the_number_shrinks_to_the_largest_wanted_within_five_minutes() -> None:
    spec = HpaSpec()
    load = [(2.0 * tick, 4.0 if tick < 5 else 1.0) for tick in range(170)]
    numbers = run(spec, load, scale=10)

    assert set(numbers[: 5 + 149]) == {10}
    assert numbers[-1] == 3


def test_a_window_that_the_user_sets_also_delays_growth() -> None:
    load = [(2.0 * tick, 4.0 if tick else 2.0) for tick in range(20)]
    numbers = run(HpaSpec(grow_window=30.0, shrink_window=30.0), load, 5)

    assert set(numbers[:15]) == {5}
    assert numbers[-1] == 10


def test_a_revision_without_requests_scales_to_zero_and_one_without_a_measure_stays() -> None:
    idle, _ = decide(HpaSpec(), Observed(0.0, 0.0, 3, 3), cpu(instances(3, cores=0.5)), HpaState(), 0.0)
    blind, _ = decide(HpaSpec(measured="queue-length"), busy(3), Measure(None, 0), HpaState(), 0.0)

    assert (idle.desired, idle.reason) == (0, "No request came within 60 s.")
    assert (blind.desired, blind.reason) == (
        3,
        "The queue-length of the instances is not known, so their number stays.",
    )


@given(
    scale=st.integers(min_value=0, max_value=100),
    ready=st.integers(min_value=0, max_value=100),
    usage=st.floats(min_value=-(2.0**53), max_value=2.0**53),
    target=st.floats(min_value=0.01, max_value=1e300),
)
def test_a_revision_with_requests_gets_at_least_one_instance_and_grows_within_the_policies(
    scale: int, ready: int, usage: float, target: float
) -> None:
    spec, measure = (
        HpaSpec(measured="queue_depth", wanted_usage=target),
        Measure(usage, ready) if ready else Measure(None, 0),
    )
    decision, _ = decide(spec, busy(scale, ready), measure, HpaState(), 0.0)

    assert 1 <= decision.desired <= max(scale + 4, scale * 2)
    assert decision.wanted < 2**31


async def test_a_revision_scales_by_the_cpu_its_instances_use_and_to_zero(world: World) -> None:
    revision = await world.given(annotations=HPA | {"metric": "cpu", "target": "50", "window": "6s"})
    await world.ready(revision, 1)
    gate = world.gate(revision)
    gate.set(in_flight=1)
    world.usage[revision] = instances(1, cores=1.0)
    await world.pass_time(10)
    assert world.scale(revision) == (4, 1)
    assert world.status(revision)["decisions"][0]["reason"] == "200% of cpu at a target of 50% wants 4."

    gate.set()
    gate.report()
    await world.pass_time(20)
    assert world.scale(revision) == (0, 1)
    await world.ready(revision, 0)
    world.usage[revision] = ()

    gate.set(queued=1)
    gate.report()
    await world.pass_time(0)
    assert world.scale(revision) == (1, 0)


DEEP = HPA | {"metric": "queue_depth", "target": "5", "window": "6s"}


async def active_with(world: World, ready: int, annotations: dict[str, str], scraped: Scraped) -> Key:
    """A revision with ready instances, requests and scraped values, a little later."""
    revision = await world.given(annotations=annotations)
    await world.ready(revision, ready)
    world.gate(revision).set(in_flight=1)
    world.scraped[revision, "queue_depth"] = scraped
    await world.pass_time(10)
    return revision


async def test_a_revision_scales_by_a_metric_of_its_own_and_to_zero(world: World) -> None:
    revision = await active_with(world, 1, DEEP | {"target": "2.5"}, Scraped((12.5,)))

    assert world.scale(revision) == (5, 1)
    decision = world.status(revision)["decisions"][0]
    assert decision["reason"] == "12.5 of queue_depth at a target of 2.5 wants 5."
    assert {name: decision[name] for name in ("metric", "usage", "measured", "target", "wanted")} == {
        "metric": "queue_depth",
        "usage": 12.5,
        "measured": 1,
        "target": 2.5,
        "wanted": 5,
    }

    gate = world.gate(revision)
    gate.set()
    gate.report()
    world.forget_gates()
    await world.pass_time(20)
    assert world.scale(revision)[0] == 0


async def test_a_revision_that_never_scales_to_zero_also_scales_without_requests(world: World) -> None:
    revision = await world.given(annotations=DEEP | {"min-scale": "1"})
    await world.ready(revision, 1)
    world.scraped[revision, "queue_depth"] = Scraped((0.0,))
    await world.pass_time(200)
    assert world.scale(revision) == (1, 1)

    world.scraped[revision, "queue_depth"] = Scraped((12.5,))
    await world.pass_time(10)
    assert world.scale(revision) == (3, 1)


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([30.0, 30.0], 4),  # the other two count as 0, which makes 60 / 4 = 15
        ([60.0, 60.0], 6),
        ([0.0, 0.0], 2),  # the other two count as 20
    ],
)
def test_an_instance_without_the_metric_never_makes_the_number_change_more(values: list[float], wanted: int) -> None:
    spec = HpaSpec(measured="queue_depth", wanted_usage=20.0, shrink_window=0.0)
    decision, _ = decide(spec, busy(4), custom(Scraped(tuple(values), failure="pod b is silent")), HpaState(), 0.0)

    assert (decision.desired, decision.problem) == (wanted, None)


async def test_the_number_stays_while_no_instance_has_the_metric_and_one_event_says_why(world: World) -> None:
    revision = await active_with(
        world, 2, DEEP | {"min-scale": "2"}, Scraped(failure="pod a does not report queue_depth")
    )
    unable = "the HPA was unable to compute the replica count"
    message = f"{unable}: unable to get metric queue_depth: pod a does not report queue_depth"

    assert world.scale(revision) == (2, 2)
    assert scaling(world, revision) == ("False", "FailedGetPodsMetric", message)
    assert [(event["reason"], event["message"]) for event in world.events] == [("FailedGetPodsMetric", message)]

    world.scraped[revision, "queue_depth"] = Scraped((5.0, 5.0))
    await world.pass_time(4)
    assert scaling(world, revision) == ("True", "", "")
    assert world.active(revision) == ("True", "")
    assert len(world.events) == 1


@pytest.mark.parametrize(
    ("annotations", "reason", "message"),
    [
        ({"metric": "queue_depth"}, "MissingTarget", "the metric queue_depth needs a target"),
        ({"metric": "memory"}, "MissingTarget", "the metric memory needs a target"),
        ({"metric": "cpu"}, "FailedGetResourceMetric", "failed to get cpu utilization: missing request for cpu"),
    ],
)
async def test_a_metric_that_cannot_be_measured_is_reported(
    world: World, annotations: dict[str, str], reason: str, message: str
) -> None:
    world.usage[Key("default", "rev")] = [Usage(0.5, 0.0, 0)]
    revision = await active_with(world, 1, HPA | annotations, Scraped((7.0,)))

    assert scaling(world, revision) == ("False", reason, f"the HPA was unable to compute the replica count: {message}")
    assert world.scale(revision) == (1, 1)


def scaling(world: World, revision: Key) -> tuple[str, str, str]:
    found = condition({"status": world.status(revision)}, "ScalingActive")
    return found["status"], found.get("reason", ""), found.get("message", "")
