# SPDX-License-Identifier: Apache-2.0
"""The paths of the host that a sandboxed program sees: its manifest names them, and no home is shown as a whole."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.model.text import host_paths
from tidegate.model.text.host_paths import HostPath
from tidegate.node.runtimes.process import toolchains
from tidegate.node.runtimes.process.visible_paths import Named, Visible, follow, visible

NOWHERE = Path("/nowhere")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home with a checkout, a virtual environment, and the Python that it was made from."""
    home = tmp_path.resolve() / "me"
    for folder in ("app/.venv/bin", ".local/share/uv/python/3.12/bin", ".ssh", "data", ".tidegate"):
        (home / folder).mkdir(parents=True)
    for file in ("app/main.py", "serve.py", ".ssh/id", "app/.venv/bin/gunicorn", "data/x.db"):
        (home / file).write_text("")
    python = home / ".local/share/uv/python/3.12/bin/python3.12"
    python.write_text("")
    (home / "app/.venv/bin/python").symlink_to(python)
    (home / "app/.venv/bin/gunicorn").write_text(f"#!{home}/app/.venv/bin/python\n")
    for program in (python, home / "app/.venv/bin/gunicorn"):
        program.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    toolchains.wide_in_homes.cache_clear()
    yield home
    toolchains.wide_in_homes.cache_clear()


def seen(home: Path, *program: str, directory: str = "/", annotated: str = "", **variables: str) -> Visible:
    named = Named(program, {"PATH": "/usr/bin:/bin", **variables}, Path(directory))
    return visible(named, host_paths.parse(annotated), home / ".tidegate", None)


def paths(home: Path, found: Visible) -> set[str]:
    return {f"{Path(path.path).relative_to(home)}{':rw' if path.writable else ''}" for path in found.paths}


def test_a_program_of_the_system_needs_no_other_path(home: Path) -> None:
    assert seen(home, "true") == Visible()


def test_a_script_of_a_virtual_environment_needs_the_environment_and_its_python(home: Path) -> None:
    assert paths(home, seen(home, f"{home}/app/.venv/bin/gunicorn")) == {"app/.venv", ".local/share/uv/python/3.12"}


def test_a_program_that_the_path_finds_needs_its_folder(home: Path) -> None:
    found = seen(home, "gunicorn", PATH=f"{home}/app/.venv/bin:/usr/bin")

    assert paths(home, found) == {"app/.venv", ".local/share/uv/python/3.12"}


def test_the_working_folder_is_writable(home: Path) -> None:
    assert paths(home, seen(home, "python3", "main.py", directory=f"{home}/app")) == {"app:rw"}


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["{home}/app/main.py"], {"app"}),
        (["--app={home}/app/main.py"], {"app"}),
        (["-c", "cd {home}/app && exec ./run"], {"app:rw"}),
        (["--db", "sqlite:///{home}/data/x.db"], {"data"}),
        (["{home}/serve.py"], {"serve.py"}),
        (["{home}"], set()),
        (["{home}/.ssh"], set()),
        (["{home}/.tidegate"], set()),
        (["{home}/missing"], set()),
        (["/run/docker.sock", "/proc/1/root", "/dev/sda", "/"], set()),
    ],
)
def test_arguments_show_what_they_name_and_no_home(home: Path, arguments: list[str], shown: set[str]) -> None:
    assert paths(home, seen(home, "true", *(word.format(home=home) for word in arguments))) == shown


def test_a_file_is_named_relative_to_a_home_that_is_the_working_folder(home: Path) -> None:
    assert paths(home, seen(home, "python3", "serve.py", directory=str(home))) == {"serve.py"}


def test_a_variable_shows_what_it_names(home: Path) -> None:
    assert paths(home, seen(home, "true", DATA=f"{home}/data")) == {"data:rw"}


def test_the_annotation_shows_also_a_home(home: Path) -> None:
    assert seen(home, "true", annotated=f"{home}:rw").paths == (HostPath(str(home), True),)


def test_links_on_the_way_are_made_again(home: Path, tmp_path: Path) -> None:
    link = tmp_path.resolve() / "current"
    link.symlink_to("me/app")

    found = seen(home, "python3", f"{link}/main.py")

    assert found.paths == (HostPath(f"{home}/app"),)
    assert found.links == ((str(link), "me/app"),)


def test_a_path_below_a_shown_one_is_not_repeated_unless_it_is_writable(home: Path) -> None:
    assert seen(home, "true", annotated=f"{home}/app,{home}/app/main.py").paths == (HostPath(f"{home}/app"),)
    twice = seen(home, "true", annotated=f"{home}/app,{home}/app/.venv:rw").paths
    assert twice == (HostPath(f"{home}/app"), HostPath(f"{home}/app/.venv", True))


def test_a_circle_of_links_ends(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")

    follow(str(tmp_path / "a"), {})

    assert not os.path.lexists(tmp_path / "c")


@pytest.mark.parametrize(
    "text", ["relative", "/a/../b", "/a:rx", "/", "/proc", "/proc/1", "/sys/fs", "/dev", ",".join(["/a"] * 65)]
)
def test_a_path_that_cannot_be_shown_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=r"absolute|:ro|never shown|at most"):
        host_paths.parse(text)


def test_paths_are_separated_by_commas() -> None:
    assert host_paths.parse(" /a, /b:rw ,/c:ro,") == [HostPath("/a"), HostPath("/b", True), HostPath("/c")]
