# SPDX-License-Identifier: Apache-2.0
"""Every command with a state folder rejects a folder that another user could have written."""

from pathlib import Path

import pytest

from tests.cli.world import COMMANDS, invoke
from tidegate.settings import Settings

ARGUMENTS = {
    "up": ["--api-port=0", "--http-port=0", "--https-port=0", "--internal-port=0"],
    "down": [],
    "status": [],
    "deploy": ["examples/hello", "--name=hello"],
    "build": ["examples/hello"],
    "traffic": ["hello"],
    "logs": ["hello"],
    "explain": ["hello"],
    "exec": ["hello", "--", "true"],
    "port-forward": ["hello", "8080"],
    "apply": ["-f", "-"],
    "get": ["services"],
    "delete": ["service", "hello"],
}
MANIFEST = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"


def test_every_command_with_a_state_folder_is_tried_here() -> None:
    with_folder = {name for name, command in COMMANDS.items() if any("--data-dir" in p.opts for p in command.params)}

    assert with_folder - {"doctor"} <= set(ARGUMENTS)  # doctor reads only how full the disk is


@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_world_writable_state_folder_is_refused(command: str, tmp_path: Path) -> None:
    home = tmp_path / "planted"
    settings = Settings(home)
    settings.pki.mkdir(parents=True)
    (settings.pki / "token").write_text("known to the planter")
    settings.kubeconfig.write_text("{}")
    home.chmod(0o777)
    before = sorted(home.rglob("*"))

    answer = invoke(command, f"--data-dir={home}", *ARGUMENTS[command], home=tmp_path, stdin=MANIFEST)

    assert (answer.code, len(answer.err.splitlines())) == (1, 1)
    assert answer.err.startswith(f"error: {home} belongs to {home.owner()} but can be written by everyone")
    assert f"`chmod go-w {home}`" in answer.err
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize("command", ARGUMENTS)
def test_a_state_folder_that_is_a_file_is_refused(command: str, tmp_path: Path) -> None:
    home = tmp_path / "file"
    home.write_text("")

    answer = invoke(command, f"--data-dir={home}", *ARGUMENTS[command], home=tmp_path, stdin=MANIFEST)

    assert answer.code == 1
    assert answer.err == f"error: the state folder {home} is a file: name a folder with --data-dir\n"
