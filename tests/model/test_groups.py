# SPDX-License-Identifier: Apache-2.0
"""The kinds that the command line knows by name are the ones that the API serves."""

from tidegate.model import groups, kinds


def test_the_built_in_kinds_are_those_of_the_groups() -> None:
    assert list(kinds.BUILT_IN_KINDS) == list(groups.BUILT_IN_SCHEME.kinds)
