# SPDX-License-Identifier: Apache-2.0
"""The Containerfile of a bundle: its base, its variables, its start command."""

from pathlib import Path

import pytest

from tidegate.bundles.bundle import Bundle
from tidegate.image_builds.buildah import ImageBuildError
from tidegate.image_builds.bundle_image import containerfile, default_base


def bundle(folder: Path, *command: str, python: str = "", package: bool = False) -> Bundle:
    (folder / "source").mkdir(parents=True)
    if python:
        (folder / "env" / "bin").mkdir(parents=True)
        (folder / "env" / "pyvenv.cfg").write_text(f"home = /usr/bin\nversion_info = {python}\n")
    if package:
        (folder / "source" / "package.json").write_text("{}")
    return Bundle("app", "0" * 64, folder, command, paths=("env/bin",), variables={"NODE_ENV": 'a "$b'})


def test_the_base_image_has_the_python_of_the_bundle(tmp_path: Path) -> None:
    assert default_base(bundle(tmp_path, "python", "app.py", python="3.12.4")) == "docker.io/library/python:3.12-slim"


def test_a_bundle_of_programs_gets_a_plain_base_image(tmp_path: Path) -> None:
    assert default_base(bundle(tmp_path, "app")) == "docker.io/library/debian:stable-slim"


def test_a_bundle_with_two_interpreters_needs_a_named_base_image(tmp_path: Path) -> None:
    with pytest.raises(ImageBuildError, match="--base"):
        default_base(bundle(tmp_path, "python", "app.py", python="3.11.2", package=True))


def test_no_path_of_this_host_is_in_the_image(tmp_path: Path) -> None:
    text = containerfile(bundle(tmp_path, "python", "app.py", python="3.11.2"), "base:1")

    assert str(tmp_path) not in text
    assert 'ENV VIRTUAL_ENV="/app/env"' in text
    assert 'ENV PATH="/app/env/bin:' in text


def test_variables_reach_the_app_as_they_are(tmp_path: Path) -> None:
    assert 'ENV NODE_ENV="a \\"\\$b"' in containerfile(bundle(tmp_path, "app"), "base:1")


@pytest.mark.parametrize(
    ("command", "line"),
    [
        (("python", "app.py"), 'CMD ["python", "app.py"]'),
        (("echo", "$$HOME"), 'CMD ["echo", "$HOME"]'),
        (("serve", "--port=$(PORT)", "a b"), """CMD ["/bin/sh", "-c", "exec serve --port=\\"$PORT\\" 'a b'"]"""),
        (("gunicorn", "127.0.0.1:$(PORT)"), 'CMD ["/bin/sh", "-c", "exec gunicorn 0.0.0.0:\\"$PORT\\""]'),
        (("serve", "$(PORT)", "$$x", ""), """CMD ["/bin/sh", "-c", "exec serve \\"$PORT\\" '$'x ''"]"""),
    ],
    ids=["no variable", "an escaped dollar", "a port", "an address", "an empty word"],
)
def test_the_start_command_of_an_image(tmp_path: Path, command: tuple[str, ...], line: str) -> None:
    assert containerfile(bundle(tmp_path, *command), "base:1").splitlines()[-1] == line
