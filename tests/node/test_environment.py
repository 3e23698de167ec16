# SPDX-License-Identifier: Apache-2.0
"""Variables in values and commands."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.node.environment import base, expand, expand_all

VARIABLES = {"A": "1", "B_C": "two", "EMPTY": ""}


def test_references_stand_for_what_is_set() -> None:
    # Rows of k8s.io/kubernetes third_party/forked/golang/expansion/expand_test.go.
    for text, expected in (
        ("$(A)", "1"),
        ("$(A)_$(B_C)", "1_two"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$(EMPTY)x", "x"),
        ("$(NOPE)", "$(NOPE)"),
        ("$(A", "$(A"),
        ("$A", "$A"),
        ("--$(", "--$("),
        ("$", "$"),
        ("$$", "$"),
    ):
        assert expand(text, VARIABLES) == expected, text
    assert expand_all(["run", "--port=$(A)"], VARIABLES) == ["run", "--port=1"]


@given(st.text("$()A \n", max_size=12))
def test_text_without_variables_only_loses_doubled_dollars(text: str) -> None:
    assert expand(text, {}).replace("$", "") == text.replace("$", "")
    assert expand(text.replace("$", "$$"), VARIABLES) == text


def test_an_app_has_nothing_of_the_control_planes_environment_but_what_is_listed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = str(Path(sys.prefix) / "bin")
    for name, value in {"VIRTUAL_ENV": sys.prefix, "PYTHONPATH": "/x", "PYTHONHOME": "/x", "SECRET": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{ours}:/opt/tools/bin:/usr/bin")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.delenv("TZ", raising=False)

    assert base(None) == {"PATH": "/opt/tools/bin:/usr/bin", "HOME": "/home/me", "LANG": "C.UTF-8"}
    assert base(Path("/own")) == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/own/home",
        "TMPDIR": "/own/tmp",
        "LANG": "C.UTF-8",
    }
