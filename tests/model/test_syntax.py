# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable, Sequence

import pytest

from tidegate.model.text import syntax


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (syntax.dns_1035_label, ["a", "a-1"], ["", "1a", "a-", "A", "a.b", "a" * 64]),
        (syntax.dns_1035_prefix, ["a", "a-", "a-1"], ["", "-", "1-"]),
        (syntax.dns_1123_label, ["a", "1a", "a-1"], ["", "a-", "A", "a.b", "a" * 64]),
        (syntax.dns_1123_subdomain, ["a", "a.b-c"], ["", "a..b", "A", "a_b", "a" * 254]),
        (syntax.identifier, ["a", "_B1"], ["", "1a", "a-b"]),
        (syntax.qualified_name, ["a", "A_b.c", "x.io/A"], ["", "/a", "a/", "a/b/c", "A/b", "-a", "a" * 64]),
    ],
)
def test_names_have_a_syntax(rule: Callable[[str], Sequence[str]], good: list[str], bad: list[str]) -> None:
    assert [name for name in good if rule(name)] == []
    assert [name for name in bad if not rule(name)] == []
