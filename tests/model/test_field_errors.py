# SPDX-License-Identifier: Apache-2.0
import pytest

from tidegate.model import field_errors
from tidegate.model.field_errors import FieldError
from tidegate.model.text import differences


@pytest.mark.parametrize(
    ("prefix", "path", "joined"),
    [
        ("spec", "name", "spec.name"),
        ("env", "[0].name", "env[0].name"),
        ("env[0]", "name", "env[0].name"),
        ("spec", "", "spec"),
        ("", "name", "name"),
        ("annotations", "[queue.sidecar/x]", "annotations.[queue.sidecar/x]"),
    ],
)
def test_a_problem_is_under_the_field_it_was_found_in(prefix: str, path: str, joined: str) -> None:
    (found,) = field_errors.under(prefix, [FieldError("m", (path,))])

    assert found.paths == (joined,)


def test_problems_that_say_the_same_become_one_and_all_are_in_order() -> None:
    found = field_errors.merged(
        [
            FieldError("b", ("y",)),
            FieldError("a", ("z",)),
            FieldError("b", ("x", "y")),
            FieldError("b", ("x",), warning=True),
        ]
    )

    assert found == [FieldError("a", ("z",)), FieldError("b", ("x", "y")), FieldError("b", ("x",), warning=True)]


def test_a_refusal_has_a_cause_a_field_and_one_for_the_whole() -> None:
    refusal = field_errors.refusal([field_errors.missing("a", "b"), FieldError("off", ())])

    assert [(cause.reason, cause.field) for cause in refusal.causes] == [
        ("FieldValueRequired", "a"),
        ("FieldValueRequired", "b"),
        ("FieldValueInvalid", ""),
    ]
    assert refusal.message.endswith("validation failed: missing field(s): a, b\noff: ")


def test_differences_are_told_by_path() -> None:
    told = differences.lines({"a": 1, "b": [{"c": "x"}], "d": 1}, {"a": 1, "b": [{"c": "y"}, 2]})

    assert told == 'b[0].c:\n\t-: "x"\n\t+: "y"\nb[1]:\n\t+: 2\nd:\n\t-: 1\n'
