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
def test_an_error_is_below_the_field_of_its_part(prefix: str, path: str, joined: str) -> None:
    (found,) = field_errors.under(prefix, [FieldError("m", (path,))])

    assert found.paths == (joined,)


def test_errors_with_the_same_text_are_merged_and_sorted() -> None:
    found = field_errors.merged(
        [
            FieldError("b", ("y",)),
            FieldError("a", ("z",)),
            FieldError("b", ("x", "y")),
            FieldError("b", ("x",), warning=True),
        ]
    )

    assert found == [FieldError("a", ("z",)), FieldError("b", ("x", "y")), FieldError("b", ("x",), warning=True)]


def test_a_refusal_has_one_cause_for_each_field_and_one_for_the_object() -> None:
    rejection = field_errors.rejection([field_errors.missing("a", "b"), FieldError("off", ())])

    assert [(cause.reason, cause.field) for cause in rejection.causes] == [
        ("FieldValueRequired", "a"),
        ("FieldValueRequired", "b"),
        ("FieldValueInvalid", ""),
    ]
    assert rejection.message.endswith("validation failed: missing field(s): a, b\noff: ")


def test_differences_are_listed_by_path() -> None:
    text = differences.lines({"a": 1, "b": [{"c": "x"}], "d": 1}, {"a": 1, "b": [{"c": "y"}, 2]})

    assert text == 'b[0].c:\n\t-: "x"\n\t+: "y"\nb[1]:\n\t+: 2\nd:\n\t-: 1\n'
