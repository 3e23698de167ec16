# SPDX-License-Identifier: Apache-2.0
"""Every command, option, kind and setting is documented, and everything that the documents name exists."""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.cli.world import COMMANDS
from tidegate import settings
from tidegate.model import kinds, names
from tidegate.model.config import Configs

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def section(command: str) -> str:
    """The part of docs/cli.md about one command."""
    parts = re.split(r"^## tidegate ([\w-]+)", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True)).get(command, "")


def parameters(command: click.Command) -> Iterator[click.Parameter]:
    """Those of a command and of its subcommands."""
    yield from command.params
    for other in command.commands.values() if isinstance(command, click.Group) else ():
        yield from parameters(other)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_and_all_its_options_are_in_the_reference(command: str) -> None:
    documented = section(command)
    options = [name for option in parameters(COMMANDS[command]) for name in (*option.opts, *option.secondary_opts)]

    assert documented, f"docs/cli.md has no section about tidegate {command}"
    assert [name for name in options if name.startswith("-") and f"`{name}" not in documented] == []


def test_the_reference_has_no_command_that_is_not_there() -> None:
    documented = re.findall(r"^## tidegate ([\w-]+)", (DOCS / "cli.md").read_text(), flags=re.MULTILINE)

    assert sorted(documented) == sorted(COMMANDS)


@pytest.mark.parametrize("kind", kinds.BUILT_IN_KINDS, ids=str)
def test_each_kind_is_in_the_reference(kind: kinds.Kind) -> None:
    assert f"| {kind.kind} |" in (DOCS / "reference.md").read_text()


OURS = [value for value in vars(names).values() if isinstance(value, str) and value.startswith("tidegate.dev/")]


@pytest.mark.parametrize("name", [*OURS, names.OUR_INGRESS_CLASS])
def test_each_name_of_ours_is_in_the_reference(name: str) -> None:
    assert f"`{name}" in (DOCS / "reference.md").read_text()


SETTINGS = [
    (f"config-{part.name}", member.metadata.get("key") or member.name.replace("_", "-"))
    for part in dataclasses.fields(Configs)
    for member in dataclasses.fields(type(getattr(Configs(), part.name)))
    if "read" in member.metadata
]


@pytest.mark.parametrize(("config_map", "key"), SETTINGS)
def test_each_setting_is_in_the_reference(config_map: str, key: str) -> None:
    parts = re.split(r"^### (config-\w+)", (DOCS / "reference.md").read_text(), flags=re.MULTILINE)

    assert f"`{key}`" in dict(zip(parts[1::2], parts[2::2], strict=True)).get(config_map, "")


def test_each_place_in_the_state_folder_is_in_the_reference() -> None:
    home = Path("/home")
    made = settings.Settings(home)
    places = [
        value.relative_to(home).parts[0]
        for name in dir(made)
        if isinstance(value := getattr(made, name), Path) and value != home
    ]
    documented = (DOCS / "reference.md").read_text()

    assert [place for place in places if f"`{place}" not in documented] == []


PAGES = sorted(DOCS.glob("*.md"))
PACKAGE = ROOT / "tidegate"
NAMED = re.compile(r"(?<![\w./-])(?:[\w*-]+/)*[\w*-]+\.(?:py|cc|h|md|svg)\b")


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.name)
def test_each_file_that_is_named_is_there(page: Path) -> None:
    """Files of the package may be named from it; a name without a folder is a file of the page's own package."""
    text = page.read_text()
    named = set(NAMED.findall(text))
    linked = {link.partition("#")[0] for link in re.findall(r"\]\((?!https?:)([^)]+)\)", text)}

    assert [name for name in sorted(named - OF_APPS) if not any(found(name, page))] == []
    assert [link for link in sorted(linked) if link and not (page.parent / link).is_file()] == []


OF_APPS = {
    *("app.py", "main.py", "manage.py", "setup.py", "PROJECT/wsgi.py", "wsgi.py", "asgi.py", "server.py", "api.py"),
    *("application.py", "app/main.py", "app/app.py", "app/api.py", "src/main.py", "src/app.py"),
}
"""Files that an app may have."""
OWN_PACKAGES = {
    "api.md": ["tidegate/apiserver"],
    "autoscaling.md": ["tidegate/autoscaler"],
    "controllers.md": ["tidegate/controllers", "tidegate/reconcile"],
    "gate.md": ["gate"],
    "gateway.md": ["tidegate/gateway"],
    "node.md": ["tidegate/node", "tidegate/bundles"],  # it has a table of the files of `bundles`, too
}


def found(name: str, page: Path) -> Iterator[Path]:
    for base in (ROOT, PACKAGE, DOCS, ROOT / "examples" / "extension"):
        yield from base.glob(name)
    if "/" not in name:
        for package in OWN_PACKAGES.get(page.name, ()):
            yield from (ROOT / package).rglob(name)


@pytest.mark.parametrize("page", [*sorted(ROOT.glob("*.md")), *PAGES], ids=lambda page: page.name)
def test_each_linked_section_is_there(page: Path) -> None:
    links = [link.partition("#") for link in re.findall(r"\]\((?!https?:)([^)]+#[^)]+)\)", page.read_text())]

    assert [
        f"{file}#{part}" for file, _, part in links if part not in sections(page.parent / file if file else page)
    ] == []


def sections(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_page_is_linked() -> None:
    linked = "".join((ROOT / name).read_text() for name in ("README.md", "docs/architecture.md", "docs/reference.md"))

    assert [page.name for page in PAGES if not re.search(rf"\]\((docs/)?{page.name}\b", linked)] == []


def test_the_layers_are_those_that_lint_holds() -> None:
    contract = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"][0]
    block = re.search(r"```\n(cli\n.*?)```", (DOCS / "architecture.md").read_text(), flags=re.DOTALL)
    assert block is not None
    documented = [re.split(r"\s{2,}", line)[0] for line in block[1].splitlines()]

    assert documented == [layer.replace("tidegate.", "") for layer in contract["layers"]]


def test_each_part_is_in_the_table_of_folders() -> None:
    parts = [path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"]
    documented = (DOCS / "architecture.md").read_text()

    assert [part for part in parts if not part.startswith("__") and f"| `tidegate/{part}` |" not in documented] == []
