# SPDX-License-Identifier: Apache-2.0
"""Variables in values and commands."""

import sys
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.client.cluster import Cluster
from tidegate.node.downward import NodeFacts
from tidegate.node.environment import Environment
from tidegate.node.expansion import expand, expand_all
from tidegate.node.runtime import LaunchRejected
from tidegate.node.runtimes.process.programs import default_environment

NOBODY = cast("Cluster", None)  # is asked for nothing
VARIABLES = {"A": "1", "B_C": "two", "EMPTY": ""}


def test_references_are_replaced_by_variables() -> None:
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


def reference(text: str) -> str:
    """The rule, read letter by letter."""
    done = ""
    while text:
        if text.startswith("$$"):
            done, text = done + "$", text[2:]
        elif text.startswith("$(") and ")" in text:
            name, _, text = text[2:].partition(")")
            done += VARIABLES.get(name, f"$({name})")
        else:
            done, text = done + text[0], text[1:]
    return done


@given(st.text("$()A", max_size=20))
def test_every_text_is_expanded_by_the_rule(text: str) -> None:
    assert expand(text, VARIABLES) == reference(text)


def test_a_text_of_references_without_an_end_is_read_once() -> None:
    """One look for the end of each took minutes."""
    text = "$(" * 500_000
    assert expand(text, VARIABLES) == text


async def test_references_that_multiply_are_refused_before_they_take_all_memory() -> None:
    doubles = [{"name": "A0", "value": "x" * 10}]
    doubles += [{"name": f"A{number + 1}", "value": f"$(A{number})" * 10} for number in range(20)]
    many = [{"name": "A", "value": "x" * 100_000}]
    many += [{"name": f"A{number}", "value": "$(A)"} for number in range(1000)]
    for variables, message in ((doubles, "may have 131072 characters"), (many, "its environment may have 6291456")):
        with pytest.raises(LaunchRejected, match=message):
            await Environment(NOBODY, {"metadata": {}}, NodeFacts("here")).of({"env": variables}, {})
    with pytest.raises(LaunchRejected, match="its command may have 6291456"):
        expand_all(["$(A)"] * 1000, {"A": "x" * 100_000})


@given(st.text("$()A \n", max_size=12))
def test_text_without_variables_only_loses_doubled_dollars(text: str) -> None:
    assert expand(text, {}).replace("$", "") == text.replace("$", "")
    assert expand(text.replace("$", "$$"), VARIABLES) == text


def test_an_app_gets_only_listed_variables_of_the_control_plane(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours = str(Path(sys.prefix) / "bin")
    for name, value in {"VIRTUAL_ENV": sys.prefix, "PYTHONPATH": "/x", "PYTHONHOME": "/x", "SECRET": "x"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", f"{ours}:/opt/tools/bin:/usr/bin")
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.delenv("TZ", raising=False)

    assert default_environment(None) == {"PATH": "/opt/tools/bin:/usr/bin", "HOME": "/home/me", "LANG": "C.UTF-8"}
    assert default_environment(Path("/own")) == {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/own/home",
        "TMPDIR": "/own/tmp",
        "LANG": "C.UTF-8",
    }
