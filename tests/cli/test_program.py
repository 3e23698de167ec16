# SPDX-License-Identifier: Apache-2.0
"""The whole program: imports and help of each command, and the exit codes of docs/cli.md."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.world import COMMANDS, World, invoke, revision, service
from tidegate.cli import program
from tidegate.client import wire
from tidegate.model import kinds

HEAVY = [
    *("cryptography", "email", "envoy", "google", "grpc", "h2", "httpx", "hypothesis", "importlib.metadata"),
    *("jsonpatch", "prometheus_client", "psutil", "pydantic", "rich", "starlette", "structlog", "uvicorn", "uvloop"),
    *("tidegate.apiserver", "tidegate.embedded", "tidegate.autoscaler", "tidegate.bundles", "tidegate.controllers"),
    *("tidegate.gateway", "tidegate.node", "tidegate.routing", "tidegate.store", "tidegate.xds"),
]
"""Modules that take tens of milliseconds to import, or parts of Tidegate that a client does not need."""

OF_A_CLIENT = ["asyncio", "h11", "ssl", "tidegate.client.http"]


def imported(*arguments: str) -> set[str]:
    """The modules that a run of `tidegate` imports."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tidegate", *arguments], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr[-2000:]
    return {line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")}


def within(modules: set[str], packages: list[str]) -> list[str]:
    return sorted(name for name in modules if any(f"{name}.".startswith(f"{package}.") for package in packages))


@pytest.mark.parametrize("arguments", [["--help"], ["version"], *([name, "--help"] for name in COMMANDS)], ids=" ".join)
def test_help_and_version_import_neither_a_client_nor_heavy_modules(arguments: list[str]) -> None:
    assert within(imported(*arguments), [*HEAVY, *OF_A_CLIENT]) == []


def test_completing_a_word_imports_no_heavy_module(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"_TIDEGATE_COMPLETE": "bash_complete", "COMP_WORDS": "tidegate de", "COMP_CWORD": "1"}.items():
        monkeypatch.setenv(name, value)

    run = subprocess.run([sys.executable, "-m", "tidegate"], capture_output=True, text=True, check=False)

    assert (run.stdout.split(), run.stderr) == (["plain,deploy", "plain,delete", "plain,demo"], "")
    assert within(imported(), [*HEAVY, *OF_A_CLIENT]) == []


CLIENTS = [
    ["get", "namespaces"],
    ["get", "namespaces", "-o", "yaml"],
    ["get", "namespaces", "-o", "json"],
    ["traffic", "seen"],
    ["logs", "seen"],
    ["delete", "cm", "absent", "--ignore-not-found"],
]


@pytest.mark.parametrize("arguments", CLIENTS, ids=" ".join)
def test_a_client_command_imports_no_server_module(tidegate: World, arguments: list[str]) -> None:
    if tidegate.run("get", "ksvc", "seen").code:
        tidegate.given(kinds.SERVICE, service("seen"))
        tidegate.given(kinds.REVISION, revision("seen", "seen-00001"))

    assert within(imported(*arguments, f"--data-dir={tidegate.home}"), HEAVY) == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_has_the_first_words_of_each_command_s_help(name: str, tmp_path: Path) -> None:
    shown = " ".join(invoke(name, "--help", home=tmp_path).out.split())

    assert program.COMMANDS[name].removesuffix(".") in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_values_and_not_the_types_of_python(name: str, tmp_path: Path) -> None:
    shown = invoke(name, "--help", home=tmp_path).out

    assert re.findall(r"<\w+>|\b(?:TEXT|INTEGER|FLOAT|BOOLEAN)\b", shown) == []


NEEDED: dict[str, list[list[str]]] = {
    "deploy": [[], ["."], ["--name", "x"]],
    "traffic": [[]],
    "logs": [[]],
    "exec": [[], ["x"]],
    "port-forward": [[], ["x"]],
    "explain": [[]],
    "simulate": [[]],
    "apply": [[]],
    "get": [[]],
    "delete": [[], ["cm"]],
    "build": [[]],
    "completion": [[]],
}
"""For each command, arguments with a missing argument."""

REACHING: dict[str, list[str]] = {
    "status": [],
    "deploy": ["examples/hello", "--name", "x"],
    "traffic": ["x"],
    "logs": ["x"],
    "exec": ["x", "--", "ls"],
    "port-forward": ["x", "8080"],
    "explain": ["x"],
    "get": ["all"],
    "delete": ["cm", "x"],
    "apply": ["-f", "-"],
}
"""Arguments of the commands that need a running Tidegate."""

MANIFEST = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}'


def test_every_command_is_tried_here() -> None:
    without = {"up", "down", "service", "demo", "version", "build", "image", "simulate", "completion", "doctor"}

    assert set(COMMANDS) == set(REACHING) | without


@pytest.mark.parametrize("name", COMMANDS)
def test_an_unknown_option_exits_with_2_for_any_command(name: str, tmp_path: Path) -> None:
    answer = invoke(name, "--no-such-option", home=tmp_path)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: No such option '--no-such-option'.\n"


@pytest.mark.parametrize(
    ("typed", "meant"), [("traffik", " Did you mean 'traffic'?"), ("lgos", " Did you mean 'logs'?"), ("x", "")]
)
def test_a_mistyped_command_exits_with_2_and_suggests_a_command(typed: str, meant: str, tmp_path: Path) -> None:
    answer = invoke(typed, home=tmp_path)

    assert (answer.code, answer.out, answer.err) == (2, "", f"error: No such command '{typed}'.{meant}\n")


@pytest.mark.parametrize(
    ("name", "given"), [(name, given) for name, lists in NEEDED.items() for given in lists], ids=str
)
def test_a_missing_argument_exits_with_2(name: str, given: list[str], tmp_path: Path) -> None:
    answer = invoke(name, *given, home=tmp_path)

    assert (answer.code, answer.out, len(answer.err.splitlines())) == (2, "", 1)
    assert answer.err.startswith("error: ")


@pytest.mark.parametrize("name", ["up", "down", "status", "demo", "version"])
def test_an_extra_argument_exits_with_2(name: str, tmp_path: Path) -> None:
    answer = invoke(name, "surplus", home=tmp_path)

    assert (answer.code, answer.out) == (2, "")
    assert answer.err == "error: Got unexpected extra argument (surplus)\n"


@pytest.mark.parametrize("seconds", ["nan", "-1", "soon", ""])
def test_an_invalid_time_exits_with_2(seconds: str, tmp_path: Path) -> None:
    answer = invoke("delete", "cm", "x", "--timeout", seconds, home=tmp_path)

    assert (answer.code, answer.out, len(answer.err.splitlines())) == (2, "", 1)
    assert answer.err.startswith("error: Invalid value for '--timeout': ")


def test_an_unknown_command_exits_with_2(tmp_path: Path) -> None:
    assert invoke("gte", home=tmp_path).code == 2
    assert invoke(home=tmp_path).code == 2


@pytest.mark.parametrize("name", REACHING)
def test_a_command_without_a_running_tidegate_exits_with_1_and_says_how_to_start_one(name: str, tmp_path: Path) -> None:
    answer = invoke(name, *REACHING[name], home=tmp_path, stdin=MANIFEST)

    message = f"error: Tidegate is not running in {tmp_path}: start it with `tidegate up`\n"
    assert (answer.code, answer.out, answer.err) == (1, "", message)


def test_a_silent_tidegate_makes_a_command_exit_with_1_and_advice(
    tidegate: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "_CONNECT_SECONDS", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as stopped:
        config = yaml.safe_load(tidegate.server.kubeconfig.read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{stopped.getsockname()[1]}"
        (tmp_path / "kubeconfig").write_text(yaml.safe_dump(config))

        answer = invoke("get", "all", home=tmp_path)

    message = f"error: Tidegate in {tmp_path} does not answer: see its tidegate.log, or stop it with `tidegate down`\n"
    assert (answer.code, answer.out, answer.err) == (1, "", message)


def test_ctrl_c_makes_a_command_exit_with_130_without_a_traceback(tidegate: World) -> None:
    command = [sys.executable, "-m", "tidegate", "get", "ns", "-w", f"--data-dir={tidegate.home}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)

    assert (process.returncode, errors.strip()) == (130, "")


def test_a_command_whose_reader_has_exited_prints_no_error(tidegate: World) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "tidegate", "get", "ns", f"--data-dir={tidegate.home}"]

    run = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)

    assert (run.returncode, run.stderr) == (141, "")


@pytest.mark.parametrize("subnet", ["10.0.0.0/8", "10.0.0.1/24", "127.0.0.0/24", "fd00::/64", "pods"])
def test_a_subnet_that_is_not_for_pods_is_an_invalid_argument(tmp_path: Path, subnet: str) -> None:
    answer = invoke("up", f"--pod-cidr={subnet}", home=tmp_path)

    assert answer.code == 2
    assert "--pod-cidr" in answer.err
