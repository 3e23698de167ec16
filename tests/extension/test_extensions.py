# SPDX-License-Identifier: Apache-2.0
"""Extensions: the example through the real API in process, and packages that are broken."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from tidegate_greetings import EXTENSION
from tidegate_greetings.kind import GREETING

from harness.apiserver import cluster_of, opened
from tidegate.client.cluster import Cluster
from tidegate.client.configs import LiveConfigs
from tidegate.client.context import Context
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.extension import Controller, Extension
from tidegate.extension.extensions import ExtensionError, Extensions, InstalledExtension, installed
from tidegate.kit.clock import RealClock
from tidegate.kit.supervision import Health, HealthState, Supervisor
from tidegate.model import errors, kinds
from tidegate.model.admission import Admission
from tidegate.model.conditions import is_ready
from tidegate.model.config import Configs
from tidegate.model.groups import BUILT_IN_SCHEME
from tidegate.model.objects import Key, Object

GREETINGS = InstalledExtension("greetings", "tidegate-greetings", EXTENSION)


@asynccontextmanager
async def running(folder: Path, extensions: Extensions) -> AsyncIterator[tuple[Cluster, dict[str, Health]]]:
    """An API with the kinds of some extensions, and their controllers."""
    clock = RealClock()
    admission = Admission(extensions.scheme, Configs)
    async with opened(folder, admit=admission.admit, scheme=extensions.scheme) as api:
        cluster = cluster_of(api, "extension")
        informers = Informers(cluster, clock, extensions.scheme)
        context = Context(
            cluster,
            informers,
            LiveConfigs(informers.config_maps, domain="localhost"),
            Recorder(cluster, "test", clock),
            clock,
        )
        async with asyncio.TaskGroup() as group:
            supervisor = Supervisor(group, clock)
            for informer in informers:
                supervisor.keep(f"informer {informer.kind}", informer.run)
            extensions.start(supervisor, lambda name: context)
            yield cluster, supervisor.parts
            supervisor.stop()


def greeting(**spec: str) -> Object:
    metadata = {"name": "ada", "namespace": "default"}
    return {"apiVersion": GREETING.api_version, "kind": GREETING.kind, "metadata": metadata, "spec": spec}


async def until_ready(cluster: Cluster, name: Key) -> Object:
    """The first state of a Greeting that is Ready."""
    listing = await cluster.list(GREETING, name.namespace)
    for found in listing.items:
        if is_ready(found):
            return found
    async with cluster.watch(GREETING, name.namespace, resource_version=listing.resource_version) as events:
        async for event in events:
            if is_ready(event.object):
                return event.object
    raise AssertionError("the watch has ended")


async def test_the_controller_of_the_example_writes_the_text_of_a_greeting(tmp_path: Path) -> None:
    async with running(tmp_path, Extensions([GREETINGS])) as (cluster, parts):
        await cluster.create(GREETING, greeting(whom="Ada", language="de"))
        found = await asyncio.wait_for(until_ready(cluster, Key("default", "ada")), 10)

        assert found["status"]["text"] == "Hallo, Ada!"
        assert parts["greetings greetings"].state is HealthState.RUNNING


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({}, "spec.whom: Required value"),
        (
            {"whom": "Ada", "language": "la"},
            'spec.language: Invalid value: "la": must be one of en, de, fr',
        ),
    ],
)
async def test_the_rules_of_the_example_reject_a_greeting_by_field(
    tmp_path: Path, spec: dict[str, str], message: str
) -> None:
    async with running(tmp_path, Extensions([GREETINGS])) as (cluster, _):
        with pytest.raises(errors.Invalid) as rejected:
            await cluster.create(GREETING, greeting(**spec))

    assert rejected.value.message == f'Greeting.greetings.example.com "ada" is invalid: {message}'


async def test_a_kind_that_is_already_served_adds_nothing_and_is_reported(tmp_path: Path) -> None:
    pods = InstalledExtension("pods", "tg-pods", Extension(resources=(BUILT_IN_SCHEME[kinds.POD],)))

    async with running(tmp_path, Extensions([pods, GREETINGS])) as (_, parts):
        assert parts["extension pods"].state is HealthState.FAILING
        assert "Pod" in parts["extension pods"].error
        assert "greetings greetings" in parts


async def test_controllers_that_cannot_be_built_are_reported(tmp_path: Path) -> None:
    def controllers(context: Context) -> list[Controller]:
        raise RuntimeError("no license")

    broken = InstalledExtension("broken", "tg-broken", Extension(controllers=controllers))
    async with running(tmp_path, Extensions([broken])) as (_, parts):
        assert parts["extension broken"].error == "package tg-broken: RuntimeError: no license"


@pytest.mark.parametrize(
    ("controllers", "error"),
    [
        (lambda context: None, "TypeError: 'NoneType' object is not iterable"),
        (lambda context: [5], "TypeError: controllers[0] is not a Controller: 5"),
        (lambda context: (1 / 0 for _ in "x"), "ZeroDivisionError: division by zero"),
        (lambda context: sys.exit("bye"), "SystemExit: bye"),
    ],
)
async def test_controllers_of_another_type_are_reported(tmp_path: Path, controllers: Any, error: str) -> None:
    broken = InstalledExtension("broken", "tg-broken", Extension(controllers=controllers))
    async with running(tmp_path, Extensions([broken, GREETINGS])) as (_, parts):
        assert parts["extension broken"].error == f"package tg-broken: {error}"
        assert "greetings greetings" in parts


def test_an_error_of_an_extension_is_one_line_without_control_characters() -> None:
    assert str(ExtensionError("x", "tg", "two\nlines \033[31m")) == "package tg: two\\nlines \\x1b[31m"


def test_a_package_in_the_current_folder_is_not_loaded(broken_packages: None, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tidegate", "--help"]

    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert "Warning" not in shown.stderr


MODULES = {
    "exits": "raise SystemExit('bye')",
    "resources": "from tidegate.extension import Extension\nVALUE = Extension(resources=(5,))",
    "commands": "from tidegate.extension import Extension\nVALUE = Extension(commands=(5,))",
    "fine": "from tidegate.extension import Extension\nVALUE = Extension()",
    "raises": "raise ValueError('bad JSONPath')",
    "other": "VALUE = 1",
    "empty": "",
}


@pytest.fixture
def broken_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Packages on sys.path, one a module."""
    for name, text in MODULES.items():
        (tmp_path / f"tg_{name}.py").write_text(text)
        info = tmp_path / f"tg_{name}-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tg-{name}\nVersion: 1\n")
        (info / "entry_points.txt").write_text(f"[tidegate.extensions]\n{name} = tg_{name}:VALUE\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in MODULES:
        sys.modules.pop(f"tg_{name}", None)


def test_a_package_that_is_broken_is_named_and_does_not_hide_the_others(broken_packages: None) -> None:
    found = list(installed())
    broken = {each.name: str(each) for each in found if isinstance(each, ExtensionError)}

    assert [each.package for each in found if isinstance(each, InstalledExtension)] == ["tg-fine"]
    assert broken == {
        "exits": "package tg-exits: SystemExit: bye",
        "resources": "package tg-resources: TypeError: resources[0] is not a Resource: 5",
        "commands": "package tg-commands: TypeError: commands[0] is not a Command: 5",
        "raises": "package tg-raises: ValueError: bad JSONPath",
        "other": "package tg-other: tg_other:VALUE is not an Extension",
        "empty": "package tg-empty: AttributeError: module 'tg_empty' has no attribute 'VALUE'",
    }


def test_without_an_extension_nothing_is_loaded() -> None:
    assert list(installed()) == []
