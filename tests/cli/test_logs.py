# SPDX-License-Identifier: Apache-2.0
"""`tidegate logs`: one instance plainly, several with their names, and instances that come later when following."""

from tests.cli.world import World, following, pod, service
from tidegate.cli.commands.logs import Lines
from tidegate.model import kinds


def test_one_instance_is_shown_as_it_wrote(tidegate: World) -> None:
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


def test_a_service_at_zero_has_no_log_and_one_that_is_not_there_is_a_failure(tidegate: World) -> None:
    tidegate.given(kinds.SERVICE, service("asleep"))

    answer = tidegate.run("logs", "asleep")

    assert (answer.code, answer.out, answer.err) == (0, "", "asleep has no instance now\n")
    assert tidegate.fails("logs", "absent") == 'services.serving.knative.dev "absent" not found'


def test_following_goes_on_with_instances_that_start_later_and_again(tidegate: World) -> None:
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


def test_bytes_that_are_no_text_do_no_harm() -> None:
    written: list[str] = []

    Lines(written.append).write("a", b"\xff caf\xc3\xa9")

    assert written == ["� café"]
