# SPDX-License-Identifier: Apache-2.0
"""`tidegate logs`: one instance unchanged, several with their names, and new instances with --follow."""

from datetime import UTC, datetime

from tests.cli.world import World, following, pod, revision, service
from tidegate.cli.instance_logs import LogPrinter
from tidegate.model import kinds, names
from tidegate.model.objects import Object


def test_the_log_of_a_single_instance_is_printed_unchanged(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("one"))
    tidegate.given(kinds.POD, pod("one", "one-00001-abcde"))

    assert tidegate.ok("logs", "one") == "one-00001-abcde user-container tail=None\n"
    assert tidegate.ok("logs", "one", "--tail", "5") == "one-00001-abcde user-container tail=5\n"


def test_lines_of_several_instances_begin_with_their_names_and_a_revision_selects(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("two"))
    for number in (1, 2):
        tidegate.given(kinds.POD, pod("two", f"two-0000{number}-x", revision=f"two-0000{number}"))

    assert tidegate.ok("logs", "two").splitlines() == [
        "[two-00001-x] two-00001-x user-container tail=None",
        "[two-00002-x] two-00002-x user-container tail=None",
    ]
    assert tidegate.ok("logs", "two", "--revision", "two-00002") == "two-00002-x user-container tail=None\n"


def ended(service: str, name: str, minute: int = 0, *, revision: str = "") -> Object:
    """A deleted Pod, in the form in which the API lists ended instances."""
    deleted = pod(service, name, revision=revision)
    when = {names.ENDED: f"2026-01-01T00:{minute:02}:00+00:00"}
    metadata = {**deleted["metadata"], "creationTimestamp": "2999-01-01T00:00:00Z", "annotations": when}
    return {**deleted, "metadata": metadata}


def local(minute: int) -> str:
    return datetime(2026, 1, 1, 0, minute, tzinfo=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def test_a_service_that_never_ran_has_no_log_and_a_missing_service_is_a_failure(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("asleep"))

    answer = tidegate.run("logs", "asleep")

    note = "asleep has no instance now, and there is no log of an earlier instance\n"
    assert (answer.code, answer.out, answer.err) == (0, "", note)
    assert tidegate.fails("logs", "absent") == 'services.serving.knative.dev "absent" not found'


def test_a_missing_revision_is_a_failure_and_a_revision_at_zero_is_named(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("runs"))
    tidegate.given(kinds.REVISION, revision("runs", "runs-00001"))
    tidegate.given(kinds.POD, pod("runs", "runs-00002-x", revision="runs-00002"))

    assert tidegate.fails("logs", "runs", "--revision", "nope") == 'revisions.serving.knative.dev "nope" not found'
    note = "runs-00001 has no instance now, and there is no log of an earlier instance\n"
    assert tidegate.run("logs", "runs", "--revision", "runs-00001").err == note


def test_a_service_at_zero_shows_the_logs_of_its_last_instances(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("slept"))
    tidegate.ended.pods = [ended("slept", "slept-a"), ended("other", "other-a")]

    answer = tidegate.run("logs", "slept", "--tail", "2")
    assert answer.out == "slept-a user-container tail=2\n"
    assert answer.err == f"slept has no instance now: these are the logs of the last instance, until {local(0)}\n"

    tidegate.ended.pods = [ended("slept", f"slept-{number}", number) for number in range(12)]
    answer = tidegate.run("logs", "slept")
    wrote = [line.partition("]")[0] for line in answer.out.splitlines()]
    assert wrote == [f"[slept-{number}" for number in range(2, 12)]
    assert "these are the logs of the last 10 instances" in answer.err


def test_a_revision_selects_among_ended_instances(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("chosen"))
    tidegate.ended.pods = [ended("chosen", f"chosen-{n}", revision=f"chosen-0000{n}") for n in (1, 2)]

    assert tidegate.ok("logs", "chosen", "--revision", "chosen-00001") == "chosen-1 user-container tail=None\n"


def test_a_deleted_service_shows_the_logs_of_its_last_instances(tidegate: World) -> None:
    tidegate.ended.pods = [ended("deleted", "deleted-a")]

    answer = tidegate.run("logs", "deleted")
    assert (answer.code, answer.out) == (0, "deleted-a user-container tail=None\n")
    assert answer.err.startswith("deleted is deleted: these are the logs")


def test_previous_shows_ended_instances_and_earlier_runs_of_running_ones(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("both"))
    tidegate.given(kinds.POD, pod("both", "both-new"))
    tidegate.ended.pods = [ended("both", "both-old")]

    assert tidegate.ok("logs", "both") == "both-new user-container tail=None\n"
    assert tidegate.ok("logs", "both", "--previous").splitlines() == [
        "[both-old] both-old user-container tail=None",
        "[both-new] both-new user-container tail=None previous",
    ]
    assert "cannot be followed" in tidegate.fails("logs", "both", "--previous", "--follow", code=2)


def test_following_a_service_at_zero_begins_with_its_last_instances(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("woken"))
    tidegate.ended.pods = [ended("woken", "woken-a")]

    with following(tidegate, "logs", "woken", "-f") as line:
        assert line() == "woken-a user-container tail=None\n"
        tidegate.given(kinds.POD, pod("woken", "woken-b"))
        assert line() == "[woken-b] woken-b user-container tail=None\n"


def test_following_includes_instances_that_start_later_or_restart(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("long"))
    tidegate.given(kinds.POD, pod("long", "long-a"))
    tidegate.given(kinds.POD, pod("long", "long-b", running=False))

    with following(tidegate, "logs", "long", "-f", "--tail", "3") as line:
        assert line() == "[long-a] long-a user-container tail=3\n"
        tidegate.patch(kinds.POD, "long-b", {"status": pod("long", "long-b")["status"]}, status=True)
        assert line() == "[long-b] long-b user-container tail=None\n"
        status = pod("long", "long-b")["status"]
        status["containerStatuses"][0]["restartCount"] = 1
        tidegate.patch(kinds.POD, "long-b", {"status": status}, status=True)
        assert line() == "[long-b] long-b user-container tail=None\n"


def test_invalid_utf_8_in_a_log_is_replaced() -> None:
    written: list[str] = []

    LogPrinter(written.append).write("a", b"\xff caf\xc3\xa9")

    assert written == ["� café"]
