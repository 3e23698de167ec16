# SPDX-License-Identifier: Apache-2.0
"""The annotation for mirrored traffic: valid and invalid values."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import make
from tidegate.model import mirroring, names

NAMES = st.from_regex(r"[a-z][a-z0-9]{0,10}", fullmatch=True)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", {}),
        ("candidate=10", {"candidate": 10}),
        (" hello-00002 = 100 , candidate=0", {"hello-00002": 100, "candidate": 0}),
    ],
)
def test_the_annotation_has_the_percents_by_name(text: str, found: dict[str, int]) -> None:
    assert mirroring.parsed(text) == found


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("candidate", '"candidate" is not NAME=PERCENT'),
        ("candidate=ten", '"candidate=ten" is not NAME=PERCENT'),
        ("candidate=-1", '"candidate=-1" is not NAME=PERCENT'),
        ("candidate=1.5", '"candidate=1.5" is not NAME=PERCENT'),
        ("candidate=1,", '"" is not NAME=PERCENT'),
        ("candidate=101", "101 percent is more than 100"),
        ("=10", '"" is not a name of a tag or a revision'),
        ("Candidate=10", '"Candidate" is not a name of a tag or a revision'),
        ("a=1,a=2", '"a" is named twice'),
    ],
)
def test_an_invalid_annotation_is_rejected_with_a_message(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(why)}$"):
        mirroring.parsed(text)
    (problem,) = mirroring.problems({names.MIRROR: text})

    assert (problem.message, problem.paths, problem.details) == (f"invalid value: {text}", (names.MIRROR,), why)


@given(st.dictionaries(NAMES, st.integers(0, 100)))
def test_a_written_duration_is_parsed_again(percents: dict[str, int]) -> None:
    assert mirroring.parsed(mirroring.annotation(percents)) == percents


def test_a_share_of_zero_and_invalid_text_mirror_nothing() -> None:
    said = ["a=0,b=1", "rubbish", ""]

    found = [list(mirroring.mirrors(make.ingress(annotations={names.MIRROR: text}))) for text in said]

    assert found == [[("b", 1)], [], []]
    assert list(mirroring.mirrors(make.ingress())) == []
