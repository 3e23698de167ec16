# SPDX-License-Identifier: Apache-2.0
"""`tidegate service`: the unit, and the message on a machine without systemd."""

import configparser
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.world import invoke
from tidegate.cli import failures, units
from tidegate.settings import Settings


def parsed(text: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment]
    parser.read_string(text)
    return parser


@pytest.mark.parametrize("user", [True, False], ids=["user", "system"])
def test_the_unit_restarts_this_tidegate_after_a_crash_and_keeps_apps_running(tmp_path: Path, user: bool) -> None:
    unit = parsed(units.unit(Settings(tmp_path / "a $home"), user=user))

    service = unit["Service"]
    command = f"{sys.executable} -P -m tidegate up '--data-dir={tmp_path}/a $$home'"
    assert (service["Type"], service["ExecStart"]) == ("notify", command)
    assert (service["KillMode"], service["Restart"]) == ("process", "on-failure")
    assert service["RestartPreventExitStatus"] == f"{failures.MISUSED} {failures.DAMAGED}"
    assert unit["Install"]["WantedBy"] == ("default.target" if user else "multi-user.target")
    assert ("ProtectSystem" in service) != user


@pytest.mark.needs("systemd-analyze")
@pytest.mark.parametrize("user", [True, False], ids=["user", "system"])
def test_systemd_finds_no_fault_in_the_unit(tmp_path: Path, user: bool) -> None:
    file = tmp_path / units.NAME
    file.write_text(units.unit(Settings(tmp_path / "home"), user=user))

    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}
    command = ["systemd-analyze", *(["--user"] if user else []), "verify", "--man=no", str(file)]
    done = subprocess.run(command, env={**os.environ, **runtime}, capture_output=True, text=True, check=False)

    assert [line for line in done.stderr.splitlines() if units.NAME in line] == []


def test_the_unit_is_printed_without_systemd(tmp_path: Path) -> None:
    answer = invoke("service", "install", "--print", home=tmp_path / "home")

    assert answer.code == 0
    assert answer.out == units.unit(Settings(tmp_path / "home"), user=os.geteuid() != 0)


@pytest.mark.parametrize("command", ["install", "uninstall", "status"])
def test_a_machine_without_systemd_gets_one_line_and_no_unit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(units, "RUNNING", tmp_path / "no systemd")

    answer = invoke("service", command, home=tmp_path / "home")

    assert answer.code == 1
    assert answer.err.startswith("error: systemd does not run on this machine: ")
    assert len(answer.err.splitlines()) == 1


def test_the_unit_of_a_user_is_in_the_user_s_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))

    assert units.place(user=True) == tmp_path / "systemd" / "user" / "tidegate.service"
    assert units.place(user=False) == Path("/etc/systemd/system/tidegate.service")
