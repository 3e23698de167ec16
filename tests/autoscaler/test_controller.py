# SPDX-License-Identifier: Apache-2.0
from harness.autoscaler import World
from tidegate.model import kinds
from tidegate.model.objects import Key


async def test_a_new_revision_wants_its_initial_scale_at_once_and_in_one_write(world: World) -> None:
    revision = await world.given(annotations={"initial-scale": "3"})

    assert world.scale(revision) == (3, 0)
    assert world.active(revision) == ("Unknown", "Queued")
    assert world.status(revision)["serviceName"] == "rev"
    assert len(world.status_writes) == 1


async def test_the_first_waiting_request_at_zero_starts_an_instance_at_once_with_one_write(world: World) -> None:
    revision = await idle(world)
    gate = world.gate(revision)

    gate.set(queued=1)
    gate.report()
    await world.pass_time(0)

    assert world.scale(revision) == (1, 0)
    assert world.active(revision) == ("Unknown", "Queued")
    assert len(world.status_writes) == 1


async def test_a_growing_scale_is_announced_before_it_is_written(world: World) -> None:
    revision = await idle(world)
    announced: list[tuple[Key, int]] = []
    world.announce = lambda name, scale: announced.append((name, scale))
    await world.restart()
    gate = world.gate(revision)
    world.cluster.writes.clear()

    gate.set(queued=1)
    gate.report()
    await world.pass_time(0)

    assert announced == [(revision, 1)]
    assert world.status_writes == []
    await world.pass_time(0.1)
    assert announced == [(revision, 1)]
    assert world.scale(revision) == (1, 0)
    assert len(world.status_writes) == 1


async def test_a_burst_at_zero_starts_the_instances_that_its_waiting_requests_need(world: World) -> None:
    revision = await idle(world, concurrency=10)
    gate = world.gate(revision)

    gate.set(queued=200)
    gate.report()
    await world.pass_time(0)

    assert world.scale(revision) == (29, 0)  # 200 / (10 * 0.7)


async def test_a_burst_that_grows_behind_its_first_request_is_counted_as_it_grows(world: World) -> None:
    revision = await idle(world, concurrency=10)
    gate = world.gate(revision)

    for queued in (1, 2, 4, 8, 16, 32, 64, 70):
        gate.set(queued=queued)
        gate.report()
        await world.pass_time(0.001)

    assert world.scale(revision) == (10, 0)  # 70 / (10 * 0.7)


async def test_a_burst_that_the_first_instances_take_is_counted_for_a_second(world: World) -> None:
    revision = await idle(world, concurrency=10)
    gate = world.gate(revision)
    gate.set(queued=140)
    gate.report()
    await world.ready(revision, 20)
    await world.pass_time(0.09)
    gate.set(in_flight=140)
    await world.pass_time(0.1)
    assert world.scale(revision) == (20, 20)

    gate.set(in_flight=200)
    await world.pass_time(0.1)

    assert world.scale(revision) == (29, 20)


async def test_a_burst_at_idle_instances_is_averaged_over_the_windows(world: World) -> None:
    revision = await world.given(annotations={"min-scale": "1"}, concurrency=10)
    await world.ready(revision, 1)
    await world.pass_time(100)
    gate = world.gate(revision)
    gate.set(in_flight=10, queued=60)
    gate.report()
    await world.pass_time(0.5)

    assert world.scale(revision) == (1, 1)  # 35 over six seconds


async def test_a_revision_scales_to_zero_one_stable_window_after_its_last_request(world: World) -> None:
    revision = await world.given(concurrency=10)
    await world.ready(revision, 1)
    gate = world.gate(revision)
    gate.set(in_flight=5)
    await world.pass_time(100)
    assert world.active(revision) == ("True", "")

    gate.set()
    gate.report()
    await world.pass_time(58)
    assert world.scale(revision) == (1, 1)
    await world.pass_time(5)  # a second that ends, and a tick

    assert world.scale(revision) == (0, 1)
    assert world.active(revision) == ("False", "NoTraffic")
    await world.ready(revision, 0)
    assert world.scale(revision) == (0, 0)


async def test_the_last_instance_is_retained_for_the_annotated_period(world: World) -> None:
    revision = await world.given(annotations={"scale-to-zero-pod-retention-period": "50s"})
    await world.ready(revision, 1)

    await world.pass_time(61)
    assert (world.scale(revision), world.active(revision)) == ((1, 1), ("False", "NoTraffic"))
    await world.pass_time(48)
    assert world.scale(revision) == (1, 1)
    await world.pass_time(2)
    assert world.scale(revision) == (0, 1)


async def test_a_request_during_the_retention_makes_the_revision_active_again(world: World) -> None:
    revision = await world.given(annotations={"scale-to-zero-pod-retention-period": "50s"})
    await world.ready(revision, 1)
    await world.pass_time(80)
    gate = world.gate(revision)

    gate.set(in_flight=1)
    await world.pass_time(60)

    assert (world.scale(revision), world.active(revision)) == ((1, 1), ("True", ""))


async def test_a_load_of_two_gateways_adds_up(world: World) -> None:
    revision = await world.given(concurrency=10)
    await world.ready(revision, 1)
    for name in ("gate-1", "gate-2"):
        world.gate(revision, name).set(in_flight=7)

    await world.pass_time(70, obeyed=[revision])

    assert world.scale(revision) == (2, 2)


async def test_a_restarted_gateway_counts_from_zero_and_the_old_one_no_longer_counts(world: World) -> None:
    revision = await world.given(concurrency=10)
    await world.ready(revision, 1)
    gate = world.gate(revision)
    gate.set(in_flight=70)
    await world.pass_time(70, obeyed=[revision])
    assert world.scale(revision) == (10, 10)

    world.forget_gates()
    world.gate(revision, "gate-2").set(in_flight=7)
    await world.pass_time(150, obeyed=[revision])

    assert world.scale(revision) == (1, 1)


async def test_the_scale_stays_while_no_gate_sends_reports(world: World) -> None:
    revision = await world.given(concurrency=10)
    await world.ready(revision, 1)
    world.gate(revision).set(in_flight=70)
    await world.pass_time(70, obeyed=[revision])

    world.forget_gates()
    await world.pass_time(300)

    assert world.scale(revision) == (10, 10)


async def test_min_scale_holds_without_load_and_costs_no_ticks(world: World) -> None:
    revision = await world.given(annotations={"min-scale": "2", "window": "6s"})
    await world.ready(revision, 2)
    await world.pass_time(30)
    assert (world.scale(revision), world.active(revision)) == ((2, 2), ("True", ""))
    assert not world.autoscaler.ticking

    await world.change(revision, {"min-scale": "3"})
    assert world.scale(revision) == (3, 2)
    await world.change(revision, {"min-scale": "0"})
    await world.pass_time(20, obeyed=[revision])

    assert world.scale(revision) == (0, 0)


async def test_min_scale_does_not_hold_where_no_route_leads(world: World) -> None:
    revision = await world.given(annotations={"min-scale": "2", "window": "6s"})
    await world.ready(revision, 2)
    await world.pass_time(10)

    await world.change(revision, reachability="Unreachable")
    await world.pass_time(10)

    assert world.scale(revision) == (0, 2)


async def test_a_revision_at_zero_is_forgotten_and_a_new_min_scale_wakes_it(world: World) -> None:
    revision = await idle(world)
    assert not world.autoscaler.known

    await world.change(revision, {"min-scale": "1"})

    assert world.scale(revision) == (1, 0)


async def test_a_configuration_that_changes_reaches_revisions_at_zero_with_the_next_tick(world: World) -> None:
    revision = await idle(world)

    world.configure("config-autoscaler", min_scale="1")
    await world.pass_time(2.1)

    assert world.scale(revision) == (1, 0)


async def test_a_revision_that_never_becomes_active_times_out(world: World) -> None:
    revision = await world.given()
    await world.pass_time(629)
    assert world.active(revision) == ("Unknown", "Queued")
    await world.pass_time(2)

    assert (world.scale(revision), world.active(revision)) == ((0, 0), ("False", "TimedOut"))
    assert [event["reason"] for event in world.events] == ["TimedOut"]


async def test_after_a_restart_nothing_is_scaled_down_for_a_stable_window(world: World) -> None:
    revision = await world.given(concurrency=10)
    await world.ready(revision, 1)
    world.gate(revision).set(in_flight=70)
    await world.pass_time(70, obeyed=[revision])

    world.forget_gates()
    await world.restart()
    await world.pass_time(58)
    assert world.scale(revision) == (10, 10)

    await world.pass_time(80, obeyed=[revision])
    assert world.scale(revision) == (0, 0)


async def test_after_a_restart_a_single_instance_stays_for_a_stable_window(world: World) -> None:
    revision = await world.given()
    await world.ready(revision, 1)
    await world.pass_time(30)

    await world.restart()
    await world.pass_time(58)
    assert world.scale(revision) == (1, 1)
    await world.pass_time(4)

    assert world.scale(revision) == (0, 1)


async def test_a_restart_does_not_bring_back_an_instance_that_was_to_end(world: World) -> None:
    revision = await world.given()
    await world.ready(revision, 1)
    await world.pass_time(70)
    assert world.scale(revision) == (0, 1)

    await world.restart()
    await world.ready(revision, 0)

    assert world.scale(revision) == (0, 0)


async def test_another_class_is_left_alone(world: World) -> None:
    revision = await world.given(annotations={"class": "other.example.com"})
    gate = world.gate(revision)
    gate.set(queued=1)
    await world.pass_time(5)

    assert world.status(revision) == {}


async def test_a_deleted_revision_is_forgotten(world: World) -> None:
    revision = await world.given()
    gate = world.gate(revision)
    gate.set(queued=1)
    await world.pass_time(1)

    world.cluster.remove(kinds.POD_AUTOSCALER, revision)
    await world.pass_time(5)

    assert not world.autoscaler.known


async def test_requests_a_second_scale_from_zero_and_further(world: World) -> None:
    revision = await idle(world, {"metric": "rps", "target": "10"})
    gate = world.gate(revision)
    gate.set(queued=1)
    gate.report()
    await world.pass_time(0)
    assert world.scale(revision) == (1, 0)

    for _ in range(1200):  # 28 a second for two minutes
        gate.set(in_flight=1, arrived=3)
        gate.report()
        await world.pass_time(0.1, obeyed=[revision])

    assert world.scale(revision) == (5, 5)


async def test_a_status_is_written_only_when_it_changes(world: World) -> None:
    revision = await world.given(concurrency=10)
    await world.ready(revision, 1)
    world.gate(revision).set(in_flight=5)
    before = len(world.status_writes)

    await world.pass_time(120)

    assert len(world.status_writes) == before


async def idle(world: World, annotations: dict[str, str] | None = None, *, concurrency: int = 0) -> Key:
    """A revision at rest at zero; earlier writes are forgotten."""
    revision = await world.given(annotations=annotations, concurrency=concurrency)
    await world.ready(revision, 1)
    await world.pass_time(70)
    await world.ready(revision, 0)
    await world.pass_time(120)
    world.cluster.writes.clear()
    assert world.scale(revision) == (0, 0)
    return revision
