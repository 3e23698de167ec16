# SPDX-License-Identifier: Apache-2.0
"""An installed extension: its kind, its controller and its command in a real Tidegate."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.platform import Platform, running
from tests.extension.example import EXAMPLE, installed_into

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Platform]:
    """A Tidegate in an environment with the example extension."""
    path = os.pathsep.join((installed_into(tmp_path / "site"), str(EXAMPLE)))
    monkeypatch.setenv("PYTHONPATH", path)
    with running(tmp_path / "home") as platform:
        yield platform


def test_an_extension_adds_a_kind_a_controller_and_a_command(platform: Platform) -> None:
    assert platform.cli("greet", "Ada", "--language", "fr").stdout == "Bonjour, Ada!\n"
    assert platform.kubectl("get", "greet", "ada", "-o", "jsonpath={.status.text}") == "Bonjour, Ada!"
    assert "The language: en (default), de or fr." in platform.kubectl("explain", "greeting.spec.language")
    assert "Bonjour, Ada!" in platform.cli("get", "greetings").stdout
    assert "greetings greetings" in [part["name"] for part in platform.status()["parts"]]
