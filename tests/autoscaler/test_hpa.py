# SPDX-License-Identifier: Apache-2.0
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.autoscaler.world import World
from tidegate.autoscaler.decide import Observed
from tidegate.autoscaler.hpa import HpaSpec, HpaState, decide, mean_usage, scaled_by
from tidegate.model.usage import Usage

MIB = 2**20
HPA = {"class": "hpa.autoscaling.knative.dev"}


def instances(count: int, *, cpu: float = 0.0, memory: int = 0) -> list[Usage]:
    return [Usage(cpu=cpu, cpu_request=0.5, memory=memory * MIB)] * count


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


def test_cpu_is_a_share_of_what_is_asked_for_and_memory_a_mean() -> None:
    two = [Usage(0.5, 1.0, 100 * MIB), Usage(0.1, 0.5, 300 * MIB)]

    assert mean_usage("cpu", two) == pytest.approx(40.0)
    assert mean_usage("memory", two) == pytest.approx(200.0)
    assert mean_usage("cpu", [Usage(0.5, 0.0, 0)]) is None
    assert mean_usage("queue-length", two) is None


def busy(scale: int, ready: int | None = None) -> Observed:
    return Observed(stable=5.0, panic=5.0, ready=scale if ready is None else ready, scale=scale)


def run(spec: HpaSpec, load: Sequence[tuple[float, float]], scale: int) -> list[int]:
    """The numbers that follow when instances share a load of so many cores at those times."""
    state, numbers = HpaState(), []
    for when, cores in load:
        decision, state = decide(spec, busy(scale), instances(scale, cpu=cores / scale), state, when)
        scale = decision.desired
        numbers.append(scale)
    return numbers


def test_it_grows_by_four_or_doubles_in_fifteen_seconds() -> None:
    load = [(2.0 * tick, 20.0) for tick in range(20)]

    assert run(HpaSpec(), load, scale=1)[::8] == [5, 10, 20]


def test_it_shrinks_to_the_most_that_was_wanted_within_five_minutes() -> None:
    spec = HpaSpec()
    load = [(2.0 * tick, 4.0 if tick < 5 else 1.0) for tick in range(170)]
    numbers = run(spec, load, scale=10)

    assert set(numbers[: 5 + 149]) == {10}
    assert numbers[-1] == 3


def test_a_window_holds_growth_too_where_the_user_sets_one() -> None:
    load = [(2.0 * tick, 4.0 if tick else 2.0) for tick in range(20)]
    numbers = run(HpaSpec(grow_window=30.0, shrink_window=30.0), load, 5)

    assert set(numbers[:15]) == {5}
    assert numbers[-1] == 10


def test_without_requests_it_goes_to_zero_and_without_a_measure_it_stays() -> None:
    idle, _ = decide(HpaSpec(), Observed(0.0, 0.0, 3, 3), instances(3, cpu=0.5), HpaState(), 0.0)
    blind, _ = decide(HpaSpec(resource="queue-length"), busy(3), instances(3), HpaState(), 0.0)

    assert (idle.desired, idle.reason) == (0, "No request came within 60 s.")
    assert (blind.desired, blind.reason) == (
        3,
        "The queue-length that instances use is not known, so their number stays.",
    )


@given(
    scale=st.integers(min_value=0, max_value=100),
    ready=st.integers(min_value=0, max_value=100),
    cpu=st.floats(min_value=0, max_value=100),
)
def test_with_requests_it_never_wants_none_and_never_more_than_the_policies_allow(
    scale: int, ready: int, cpu: float
) -> None:
    decision, _ = decide(HpaSpec(), busy(scale, ready), instances(ready, cpu=cpu), HpaState(), 0.0)

    assert 1 <= decision.desired <= max(scale + 4, scale * 2)


async def test_a_revision_scales_by_the_cpu_its_instances_use_and_to_zero(world: World) -> None:
    revision = await world.given(annotations=HPA | {"metric": "cpu", "target": "50", "window": "6s"})
    await world.ready(revision, 1)
    gate = world.gate(revision)
    gate.set(in_flight=1)
    world.usage[revision] = instances(1, cpu=1.0)
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
