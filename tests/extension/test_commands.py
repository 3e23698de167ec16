# SPDX-License-Identifier: Apache-2.0
"""The command line and extensions: their commands, and their kinds in `tidegate get`, `apply` and `delete`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tidegate_greetings import EXTENSION
from tidegate_greetings.kind import GREETING

from tests.cli.world import World, invoke, world
from tests.extension.example import installed_into
from tidegate.cli import extensions
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.objects import Object

ADA: Object = {
    "apiVersion": GREETING.api_version,
    "kind": GREETING.kind,
    "metadata": {"name": "ada", "namespace": "default"},
    "spec": {"whom": "Ada", "language": "en"},
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[World]:
    """An API that serves the kinds of the example."""
    with world(tmp_path / "home", BUILT_IN_SCHEME.extended(EXTENSION.resources)) as world_:
        yield world_


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example, as an installed package."""
    monkeypatch.syspath_prepend(installed_into(tmp_path))
    extensions.commands.cache_clear()
    yield
    extensions.commands.cache_clear()


def test_a_kind_of_an_extension_is_listed_with_its_columns(server: World) -> None:
    server.given(GREETING, {**ADA, "status": {"text": "Hello, Ada!"}})

    for word in ("greetings", "greeting", "greet", "greetings.greetings.example.com"):
        header, row = server.ok("get", word).splitlines()
        assert (header.split(), row.split()[:1], "Hello, Ada!" in row) == (
            ["NAME", "TEXT", "READY", "REASON"],
            ["ada"],
            True,
        )


def test_a_manifest_of_an_extension_s_kind_is_applied_and_deleted(server: World) -> None:
    created = server.ok("apply", "-f", "-", stdin=json.dumps(ADA))
    deleted = server.ok("delete", "greet/ada")

    assert created == "greeting.greetings.example.com/ada created\n"
    assert deleted == 'greeting.greetings.example.com "ada" deleted\n'


def test_a_kind_that_no_extension_has_is_refused_by_name(server: World) -> None:
    assert server.fails("get", "greetingz") == (
        'the server doesn\'t have a resource type "greetingz"; did you mean greeting?'
    )


@pytest.mark.usefixtures("example")
def test_help_lists_the_commands_of_extensions(tmp_path: Path) -> None:
    shown = invoke("--help", home=tmp_path).out

    assert shown.split("Commands of extensions:")[1].split() == ["greet", "Greet", "somebody."]


@pytest.mark.usefixtures("example")
def test_a_command_of_an_extension_runs(tmp_path: Path) -> None:
    answer = invoke("greet", "Ada", home=tmp_path)

    assert "Tidegate is not running" in answer.err


@pytest.mark.usefixtures("example")
def test_a_mistyped_command_may_mean_that_of_an_extension(tmp_path: Path) -> None:
    assert "greet" in invoke("gret", home=tmp_path).err
