# SPDX-License-Identifier: Apache-2.0
"""The status of a Revision, by table: from its autoscaler, its Pods and the time."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from harness import make
from tests.controllers.world import World, controlled
from tidegate.controllers.serving.pod_autoscaler import aligned_autoscaler, desired_autoscaler
from tidegate.controllers.serving.revision_state import RevisionState, progress_due
from tidegate.controllers.serving.revision_status import observed_status
from tidegate.kit.clock import VirtualClock
from tidegate.model import kinds, names
from tidegate.model.conditions import condition
from tidegate.model.config import Configs
from tidegate.model.objects import Key, Object

NOW = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
REVISION = make.revision()
QUEUED = ("Unknown", "Queued", "Requests wait.")
IDLE = ("False", "NoTraffic", "The target is not receiving traffic.")
DEPLOYING = ("Unknown", "Deploying", "")
NEVER_SCALED = ("False", "ProgressDeadlineExceeded", "Initial scale was never achieved")
TRUE = ("True", "", "")


def autoscaler(ready: Any, *, initialized: bool, wanted: int = 1) -> Object:
    states = {"Ready": ready, "Active": ready, "ScaleTargetInitialized": "True" if initialized else "Unknown"}
    return make.observed(make.pod_autoscaler(REVISION), desiredScale=wanted, actualScale=0, **states)


def pod(**status: Any) -> Object:
    return make.pod(REVISION, status=status)


UNSCHEDULABLE = {"conditions": make.conditions(PodScheduled=("False", "Unschedulable", "Insufficient cpu"))}
UNREADY = {"conditions": make.conditions(ContainersReady=("False", "ProbesFailing", "app: startup probe: 503"))}
CRASHED = make.crashed("no database here", code=7)
AGAIN = make.ended(ends=1)
INITIALIZING = {"name": "user-container", "state": {"waiting": {"reason": "PodInitializing"}}}
INIT_FAILED = {
    "initContainerStatuses": make.crashed("no table", code=3)["containerStatuses"],
    "containerStatuses": [INITIALIZING],
}
INIT_UNPULLED = {
    "initContainerStatuses": make.waiting("ErrImagePull", "not found")["containerStatuses"],
    "containerStatuses": [INITIALIZING],
}
EXIT = ("False", "ExitCode7", "Container failed with: no database here")

NEW = autoscaler(QUEUED, initialized=False)
UP = autoscaler("True", initialized=True)
STARTING = autoscaler(QUEUED, initialized=True)
ZERO = autoscaler(IDLE, initialized=True, wanted=0)
GIVEN_UP = autoscaler(IDLE, initialized=False, wanted=0)


@pytest.mark.parametrize(
    ("scaler", "living", "late", "resources", "healthy"),
    [
        pytest.param(None, [], False, DEPLOYING, DEPLOYING, id="there is no autoscaler yet"),
        pytest.param(make.pod_autoscaler(REVISION), [], False, DEPLOYING, DEPLOYING, id="the autoscaler has no status"),
        pytest.param(NEW, [pod()], False, DEPLOYING, DEPLOYING, id="the first instance starts"),
        pytest.param(NEW, [make.pod(REVISION, ready=True)], False, DEPLOYING, TRUE, id="the first instance is ready"),
        pytest.param(UP, [make.pod(REVISION, ready=True)], False, TRUE, TRUE, id="the initial scale is reached"),
        pytest.param(ZERO, [], False, TRUE, TRUE, id="scaled to zero"),
        pytest.param(STARTING, [pod()], False, TRUE, TRUE, id="scaling up from zero"),
        pytest.param(NEW, [pod(**CRASHED)], False, DEPLOYING, EXIT, id="the first instance has ended"),
        pytest.param(STARTING, [pod(**CRASHED)], False, TRUE, EXIT, id="a later instance has ended"),
        pytest.param(
            UP, [pod(**CRASHED), make.pod(REVISION, "b", ready=True)], False, TRUE, TRUE, id="another one is ready"
        ),
        pytest.param(NEW, [pod(**AGAIN)], False, DEPLOYING, DEPLOYING, id="the first instance is restarted at once"),
        pytest.param(STARTING, [pod(**AGAIN)] * 3, False, TRUE, TRUE, id="all instances are restarted at once"),
        pytest.param(
            STARTING, [pod(**CRASHED), pod(**AGAIN)], False, TRUE, TRUE, id="one instance is restarted at once"
        ),
        pytest.param(
            NEW,
            [pod(**make.waiting("ContainerMissing", "/no/such/program"))],
            False,
            DEPLOYING,
            ("False", "ContainerMissing", "/no/such/program"),
            id="there is no such program",
        ),
        pytest.param(
            NEW,
            [pod(**make.waiting("ErrImagePull", "not found"))],
            False,
            ("False", "ErrImagePull", "not found"),
            DEPLOYING,
            id="there is no such image",
        ),
        *(
            pytest.param(
                *(NEW, [pod(**make.waiting(reason, "why"))], False, DEPLOYING, ("False", reason, "why")), id=reason
            )
            for reason in ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
        ),
        *(
            pytest.param(
                *(NEW, [pod(**make.waiting(reason, "why"))], False, ("False", reason, "why"), DEPLOYING), id=reason
            )
            for reason in ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError")
        ),
        pytest.param(
            NEW,
            [pod(**INIT_FAILED)],
            False,
            DEPLOYING,
            ("False", "ExitCode3", "Container failed with: no table"),
            id="an init container has ended",
        ),
        pytest.param(
            NEW,
            [pod(**INIT_UNPULLED)],
            False,
            ("False", "ErrImagePull", "not found"),
            DEPLOYING,
            id="the image of an init container cannot be pulled",
        ),
        pytest.param(
            NEW,
            [pod(**UNSCHEDULABLE)],
            False,
            ("False", "Unschedulable", "Insufficient cpu"),
            DEPLOYING,
            id="no node has room",
        ),
        pytest.param(
            NEW,
            [pod(), pod(**UNREADY)],
            False,
            ("Unknown", "Deploying", "app: startup probe: 503"),
            ("Unknown", "Deploying", "app: startup probe: 503"),
            id="probes of the first instance fail",
        ),
        pytest.param(STARTING, [pod(**UNREADY)], False, TRUE, TRUE, id="probes of a later instance fail"),
        pytest.param(
            NEW,
            [pod(**UNREADY)],
            True,
            (*NEVER_SCALED[:2], f"{NEVER_SCALED[2]}: app: startup probe: 503"),
            ("Unknown", "Deploying", "app: startup probe: 503"),
            id="the deadline has passed while probes fail",
        ),
        pytest.param(NEW, [pod()], True, NEVER_SCALED, DEPLOYING, id="the deadline has passed"),
        pytest.param(STARTING, [pod()], True, NEVER_SCALED, DEPLOYING, id="the deadline of a later start has passed"),
        pytest.param(GIVEN_UP, [], False, NEVER_SCALED, DEPLOYING, id="the autoscaler has given up"),
    ],
)
def test_the_status_of_a_revision_follows_from_its_pods_and_its_autoscaler(
    scaler: Object | None, living: list[Object], late: bool, resources: Any, healthy: Any
) -> None:
    revision = {"status": observed_status(RevisionState(REVISION, scaler, living), NOW, late=late)}

    assert states(revision, "ResourcesAvailable") == resources
    assert states(revision, "ContainerHealthy") == healthy


def test_an_image_of_a_prepared_pod_that_cannot_be_pulled_shows_while_no_instance_is_ready() -> None:
    broken = make.prepared(pod(**make.waiting("ErrImagePull", "not found")))
    failing = RevisionState(REVISION, ZERO, [], prepared=[broken])
    running = RevisionState(REVISION, UP, [make.pod(REVISION, ready=True)], prepared=[broken])

    failed = {"status": observed_status(failing, NOW, late=False)}
    fine = {"status": observed_status(running, NOW, late=False)}

    assert states(failed, "ResourcesAvailable") == ("False", "ErrImagePull", "not found")
    assert states(fine, "ResourcesAvailable") == TRUE


def test_the_progress_deadline_of_a_prepared_pod_begins_at_its_start() -> None:
    created, started = make.conditions(**{names.PREPARED_STATE: "True"}), "2026-01-01T00:04:00Z"
    woken = [{**created[0], "status": "False", "lastTransitionTime": started}]

    def due(conditions: list[Object]) -> datetime | None:
        return progress_due(RevisionState(REVISION, STARTING, [pod(conditions=conditions)]), Configs())

    assert due(created) is None
    assert due(woken) == datetime.fromisoformat(started) + timedelta(seconds=601)


def states(obj: Object, kind: str) -> tuple[str, str, str]:
    found = condition(obj, kind)
    return found["status"], found.get("reason", ""), found.get("message", "")


def test_the_active_condition_copies_the_autoscaler_and_does_not_affect_ready() -> None:
    revision = {"status": observed_status(RevisionState(REVISION, ZERO, []), NOW, late=False)}

    assert states(revision, "Active") == IDLE
    assert condition(revision, "Active")["severity"] == "Info"
    assert states(revision, "Ready") == TRUE


def test_a_failure_of_an_instance_is_reported_until_another_one_is_ready() -> None:
    failed = {
        **REVISION,
        "status": observed_status(RevisionState(REVISION, STARTING, [pod(**CRASHED)]), NOW, late=False),
    }

    still = {**REVISION, "status": observed_status(RevisionState(failed, ZERO, []), NOW, late=False)}
    assert states(still, "Ready") == EXIT

    well = observed_status(RevisionState(still, UP, [make.pod(REVISION, ready=True)]), NOW, late=False)
    assert states({"status": well}, "Ready") == TRUE


def test_an_unchanged_condition_keeps_its_transition_time() -> None:
    seen = RevisionState(REVISION, STARTING, [pod(**CRASHED)])
    first = {**REVISION, "status": observed_status(seen, NOW, late=False)}

    again = observed_status(seen._replace(revision=first), NOW + timedelta(hours=1), late=False)

    assert again == first["status"]


def test_an_autoscaler_with_another_owner_is_reported() -> None:
    foreign = {**UP, "metadata": {**UP["metadata"], "ownerReferences": []}}

    revision = {"status": observed_status(RevisionState(REVISION, foreign, []), NOW, late=False)}

    why = 'There is an existing PodAutoscaler "hello-00001" that we do not own.'
    assert states(revision, "ResourcesAvailable") == ("False", "NotOwned", why)


def test_scales_and_images_are_in_the_status() -> None:
    image = f"tidegate.dev/bundle/hello@sha256:{'a' * 64}"
    bundled = make.revision(spec=make.template(image)["spec"])

    status = observed_status(
        RevisionState(bundled, autoscaler("True", initialized=True, wanted=3), []), NOW, late=False
    )

    assert (status["desiredReplicas"], status["actualReplicas"]) == (3, 0)
    assert status["containerStatuses"] == [{"name": "user-container", "imageDigest": image}]
    assert observed_status(RevisionState(REVISION, None, []), NOW, late=False)["containerStatuses"] == [
        {"name": "user-container"}
    ]


@pytest.mark.parametrize(
    ("scaler", "living", "seconds"),
    [
        pytest.param(NEW, [], 601, id="since the revision was made"),
        pytest.param(STARTING, [pod()], 601, id="since the oldest instance was made"),
        pytest.param(
            STARTING,
            [pod(conditions=[{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:20:00Z"}])],
            1801,
            id="since an instance that was ready crashed",
        ),
        pytest.param(STARTING, [], None, id="a start from zero that has no instance yet"),
        pytest.param(UP, [make.pod(REVISION, ready=True)], None, id="an instance is ready"),
        pytest.param(ZERO, [], None, id="no instance is wanted"),
        pytest.param(None, [], None, id="there is no autoscaler"),
    ],
)
def test_the_progress_deadline_runs_while_no_instance_is_ready(
    scaler: Object | None, living: list[Object], seconds: float | None
) -> None:
    due = progress_due(RevisionState(REVISION, scaler, living), Configs())

    wanted = None if seconds is None else datetime.fromisoformat(make.EARLY) + timedelta(seconds=seconds)
    assert due == wanted


def test_a_template_may_set_its_own_progress_deadline() -> None:
    hasty = make.revision(annotations={names.PROGRESS_DEADLINE: "1m30s"})

    due = progress_due(RevisionState(hasty, NEW, []), Configs())

    assert due == datetime.fromisoformat(make.EARLY) + timedelta(seconds=91)


def test_an_autoscaler_gets_the_autoscaling_annotations_of_its_revision() -> None:
    prefix = names.AUTOSCALING
    existing = make.pod_autoscaler(
        REVISION, annotations={f"{prefix}/class": names.KPA, f"{prefix}/min-scale": "2", "other": "stays"}
    )
    changed = make.revision(annotations={f"{prefix}/max-scale": "5", names.ROUTES: "hello", "own": "1"})

    aligned = aligned_autoscaler(existing, desired_autoscaler(changed, "Reachable"))

    wanted = {f"{prefix}/class": names.KPA, f"{prefix}/max-scale": "5", "other": "stays", "own": "1"}
    assert aligned["metadata"]["annotations"] == wanted


async def test_a_changed_annotation_of_a_revision_reaches_its_autoscaler(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await world.until(lambda: world.is_ready(kinds.REVISION, "hello-00001"))
        annotation = f"{names.AUTOSCALING}/min-scale"

        patch = {"metadata": {"annotations": {annotation: "3"}}}
        await world.cluster.patch(kinds.REVISION, Key(make.NAMESPACE, "hello-00001"), patch)

        def arrived() -> bool:
            found = world.get(kinds.POD_AUTOSCALER, "hello-00001")["metadata"].get("annotations", {})
            return bool(found.get(annotation) == "3")

        await world.until(arrived)


async def test_an_instance_that_never_becomes_ready_fails_the_revision_at_its_deadline(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with controlled(tmp_path, clock=clock) as world:
        world.node_runs = lambda pod: None
        await world.apply(make.service(template=make.template(annotations={names.PROGRESS_DEADLINE: "20s"})))
        await world.until(lambda: world.pods("hello-00001"))
        await world.until(lambda: world.condition(kinds.REVISION, "hello-00001")[1] == "Deploying")

        await clock.advance(30)

        await world.until(lambda: world.condition(kinds.SERVICE, "hello")[1] == "RevisionFailed")
        assert world.condition(kinds.REVISION, "hello-00001", "ResourcesAvailable") == NEVER_SCALED
        await world.until(
            lambda: world.get(kinds.POD_AUTOSCALER, "hello-00001")["spec"]["reachability"] == "Unreachable"
        )


async def test_a_service_reports_the_answers_to_the_probes_of_its_first_instance(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        world.node_runs = lambda pod: UNREADY
        await world.apply(make.service())

        waiting_for_probe = ("Unknown", "Deploying", "app: startup probe: 503")
        await world.until(lambda: world.condition(kinds.CONFIGURATION, "hello") == waiting_for_probe)
        await world.until(lambda: world.condition(kinds.SERVICE, "hello") == waiting_for_probe)


async def poke(world: World) -> None:
    """Make the node look at the only Pod again."""
    (found,) = world.pods("hello-00001")
    count = str(int(found["metadata"]["labels"].get("poke", 0)) + 1)
    patch = {"metadata": {"labels": {"poke": count}}}
    await world.cluster.patch(kinds.POD, Key(make.NAMESPACE, found["metadata"]["name"]), patch)


async def test_a_revision_that_was_ready_and_has_traffic_stays_reachable_while_all_its_instances_crash(
    tmp_path: Path,
) -> None:
    async with controlled(tmp_path) as world:
        await world.apply(make.service())
        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
        await world.until(
            lambda: world.get(kinds.POD_AUTOSCALER, "hello-00001")["spec"].get("reachability") == "Reachable"
        )
        reached: set[str] = set()
        world.informers.pod_autoscalers.subscribe(lambda old, new: reached.add((new or {})["spec"]["reachability"]))

        world.node_runs = lambda pod: CRASHED
        await poke(world)
        await world.until(lambda: world.condition(kinds.REVISION, "hello-00001", "ContainerHealthy") == EXIT)
        world.node_runs = lambda pod: make.running()
        await poke(world)
        await world.until(lambda: world.is_ready(kinds.REVISION, "hello-00001"))

        assert reached == {"Reachable"}


async def test_a_crash_is_reported_until_the_instance_runs(tmp_path: Path) -> None:
    async with controlled(tmp_path) as world:
        world.node_runs = lambda pod: CRASHED
        await world.apply(make.service())
        await world.until(lambda: world.condition(kinds.REVISION, "hello-00001", "ContainerHealthy") == EXIT)
        await world.until(lambda: world.condition(kinds.SERVICE, "hello")[1] == "RevisionFailed")

        world.node_runs = lambda pod: make.running()
        await poke(world)

        await world.until(lambda: world.is_ready(kinds.SERVICE, "hello"))
