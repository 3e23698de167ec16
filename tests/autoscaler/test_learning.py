# SPDX-License-Identifier: Apache-2.0
"""The optional abilities of a class from a package: learn, ask for decisions at rest, refuse annotations."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from harness.autoscaler import World
from tidegate.autoscaler import classes
from tidegate.autoscaler.kpa import Kpa, KpaState
from tidegate.autoscaler.policies import Observed, PolicyContext, Spec
from tidegate.kit.background import Background
from tidegate.model import errors, kinds, names
from tidegate.model.config import Configs
from tidegate.model.field_errors import FieldError, invalid
from tidegate.model.kinds import Kind
from tidegate.model.load import LoadReport
from tidegate.model.objects import Key, Object

NAME = "ahead.example.com"


class Ahead(Kpa):
    """KPA, or the number that a test sets; it records its calls."""

    def __init__(self) -> None:
        self.foreseen = 0
        self.named: list[Key] = []
        self.heard: list[LoadReport] = []
        self.forgotten: list[Key] = []

    def decide(self, revision: Key, spec: Spec, observed: Observed, state: KpaState, now: float) -> Any:
        decision, state = super().decide(revision, spec, observed, state, now)
        return (Foreseen(decision, self.foreseen) if self.foreseen > decision.desired else decision), state

    def learn(self, revision: Key, report: LoadReport) -> None:
        self.heard.append(report)

    def due(self, now: float) -> list[Key]:
        return self.named

    def forget(self, revision: Key) -> None:
        self.forgotten.append(revision)

    def problems(self, annotations: Mapping[str, str]) -> Iterable[FieldError]:
        if annotations.get(f"{NAME}/far") == "very":
            yield invalid("very", f"{NAME}/far")


class Foreseen:
    reason = "It will rain."
    problem = None

    def __init__(self, decision: Any, desired: int) -> None:
        self.is_steady, self.numbers, self.desired = decision.is_steady, decision.numbers, desired


def world_of(policy: Ahead) -> World:
    return World({names.KPA: Kpa(), NAME: policy})


@pytest.fixture
def ahead() -> Ahead:
    return Ahead()


@pytest.fixture
async def at_zero(ahead: Ahead) -> Any:
    world = world_of(ahead)
    await world.start()
    revision = await world.given(annotations={"class": NAME, "min-scale": "0"})
    await world.pass_time(5, obeyed=[revision])
    await world.pass_time(130, obeyed=[revision])
    assert world.scale(revision) == (0, 0)
    yield world, revision
    await world.stop()


async def test_a_revision_at_zero_starts_instances_when_its_class_asks_for_a_decision(
    ahead: Ahead, at_zero: tuple[World, Key]
) -> None:
    world, revision = at_zero
    ahead.foreseen = 3
    await world.pass_time(10)
    assert world.scale(revision) == (0, 0)

    ahead.named = [revision]
    await world.pass_time(3, obeyed=[revision])

    assert world.scale(revision) == (3, 3)
    assert world.status(revision)["decisions"][0]["reason"] == "It will rain."
    assert world.active(revision) == ("True", "")


async def test_a_revision_scales_to_zero_again_when_its_class_foresees_no_load(
    ahead: Ahead, at_zero: tuple[World, Key]
) -> None:
    world, revision = at_zero
    ahead.foreseen, ahead.named = 3, [revision]
    await world.pass_time(3, obeyed=[revision])

    ahead.foreseen, ahead.named = 0, []
    await world.pass_time(130, obeyed=[revision])

    assert world.scale(revision) == (0, 0)
    assert (world.autoscaler.known, world.autoscaler.ticking) == (0, 0)


async def test_a_class_that_asks_for_a_decision_without_effect_leaves_nothing_behind(
    ahead: Ahead, at_zero: tuple[World, Key]
) -> None:
    world, revision = at_zero
    ahead.named = [revision]
    writes = len(world.status_writes)

    await world.pass_time(60)

    ahead.named = []
    await world.pass_time(4)
    assert len(world.status_writes) == writes
    assert (world.autoscaler.known, world.autoscaler.ticking) == (0, 0)


async def test_a_class_gets_every_report_on_its_revisions_and_no_others(
    ahead: Ahead, at_zero: tuple[World, Key]
) -> None:
    world, revision = at_zero
    other = await world.given("other")
    for each in (revision, other):
        world.gate(each).set(in_flight=2)

    await world.pass_time(1)

    assert {report.revision for report in ahead.heard} == {revision}
    assert ahead.heard[-1].concurrency_seconds == pytest.approx(2)


async def test_a_class_is_notified_of_revisions_that_were_deleted_or_changed_class(
    ahead: Ahead, at_zero: tuple[World, Key]
) -> None:
    world, revision = at_zero
    other = await world.given("other", {"class": NAME})
    ahead.named = [revision, other]
    await world.pass_time(3)
    assert ahead.forgotten == []

    world.cluster.remove(kinds.POD_AUTOSCALER, revision)
    await world.change(other, {"class": "kpa.autoscaling.knative.dev"})
    await world.pass_time(3)

    assert set(ahead.forgotten) == {revision, other}


BAD = {"annotations": {"autoscaling.knative.dev/class": NAME, f"{NAME}/far": "very"}}
TEMPLATE = {"spec": {"template": {"metadata": BAD}}}


@pytest.mark.parametrize(
    ("kind", "obj", "path"),
    [
        (kinds.SERVICE, TEMPLATE, "spec.template.metadata.annotations"),
        (kinds.CONFIGURATION, TEMPLATE, "spec.template.metadata.annotations"),
        (kinds.REVISION, {"metadata": BAD}, "metadata.annotations"),
        (kinds.POD_AUTOSCALER, {"metadata": BAD}, "metadata.annotations"),
    ],
)
def test_annotations_that_a_class_does_not_accept_are_refused(kind: Kind, obj: Object, path: str) -> None:
    with pytest.raises(errors.BadRequest) as error:
        classes.check(kind, obj, {NAME: Ahead()}, Configs())

    assert f"invalid value: very: {path}.{NAME}/far" in str(error.value)


@pytest.mark.parametrize("kind", [kinds.SERVICE, kinds.REVISION, kinds.POD, kinds.SECRET])
def test_objects_of_another_class_and_other_kinds_are_not_checked(kind: Kind) -> None:
    classes.check(kind, TEMPLATE | {"metadata": BAD}, {}, Configs())
    classes.check(kind, {"metadata": {}}, {NAME: Ahead()}, Configs())
    classes.check(kind, {"metadata": {}, "spec": {"template": {}}}, {NAME: Ahead()}, Configs())


def test_each_class_has_a_folder_of_its_own(tmp_path: Path) -> None:
    assert PolicyContext(folder=tmp_path).of(NAME).folder == tmp_path / NAME
    assert PolicyContext().of(NAME).folder is None


def test_the_background_runs_functions_in_order_and_returns_their_exceptions() -> None:
    background = Background("test")
    done: list[int] = []

    futures = [background(partial(done.append, each)) for each in range(20)]
    failed = background(lambda: done.index(99))

    assert isinstance(failed.exception(timeout=10), ValueError)
    assert [future.done() for future in futures] == [True] * 20
    assert done == list(range(20))


class Flawed(Ahead):
    """Fails for all revisions except one."""

    spared = ""

    def decide(self, revision: Key, spec: Spec, observed: Observed, state: KpaState, now: float) -> Any:
        if revision.name != self.spared:
            raise ZeroDivisionError("a flaw")
        return super().decide(revision, spec, observed, state, now)


async def test_a_class_that_fails_for_one_revision_holds_up_no_other() -> None:
    made = Flawed()
    made.spared = "well"
    world = world_of(made)
    await world.start()
    flawed = await world.given("flawed", annotations={"class": NAME})
    well = await world.given("well", annotations={"class": NAME})
    for revision in (flawed, well):
        gate = world.gate(revision)
        gate.set(queued=200)
        gate.report()

    with capture_logs() as logged:
        await world.pass_time(10)

    assert world.scale(well)[0] > 1
    retries = [entry["retry_in"] for entry in logged if entry["event"] == "autoscaling failed"]
    assert retries[:2] == [2.0, 4.0]  # the report was the first
    await world.stop()
