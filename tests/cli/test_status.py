# SPDX-License-Identifier: Apache-2.0
"""`tidegate status`, and the messages of `up` and `down` when nothing runs or nothing is started."""

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from harness import make
from tests.cli.world import READY, World, invoke, pod, revision, service
from tidegate.cli import failures
from tidegate.kit import lock
from tidegate.model import kinds
from tidegate.runfile import Endpoints, RunRecord
from tidegate.settings import Settings


@pytest.fixture
def recorded(tidegate: World) -> Iterator[World]:
    """The served API, with this test's process as its control plane and no gateway."""
    endpoints = Endpoints(
        http="http://127.0.0.1:8080",
        https="https://127.0.0.1:8443",
        internal="http://127.0.0.1:8081",
        api=tidegate.server.url,
    )
    path = Settings(tidegate.home).record
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(RunRecord(endpoints, 8080, 8443, 8081, 6443)))
    with lock.held(Settings(tidegate.home).lock):
        yield tidegate


def shown(world: World, *options: str) -> str:
    """The output of `status` for a Tidegate without a gateway."""
    answer = invoke("status", *options, home=world.home)
    assert answer.code == failures.UNHEALTHY
    return answer.out


def test_status_shows_parts_and_services_as_a_table_and_as_json(recorded: World) -> None:
    assert "no services yet" in shown(recorded)
    recorded.given(kinds.SERVICE, {**service("hello"), "status": {**READY, "url": "http://hello.default.localhost"}})
    recorded.given(kinds.POD, pod("hello", "hello-00001-a"))
    recorded.given(kinds.POD, pod("hello", "hello-00001-b", running=False))
    recorded.given(kinds.POD, {**pod("hello", "hello-00001-c"), "status": make.frozen()})
    recorded.given(kinds.POD, {**make.prepared(pod("hello", "hello-00001-d")), "status": make.created()})

    lines = [line.split() for line in shown(recorded).splitlines()]
    document = json.loads(shown(recorded, "-o", "json"))

    assert lines[0][:4] == ["control", "plane", "process", str(os.getpid())]
    assert lines[1] == ["gateway", "down", "http://127.0.0.1:8080", "https://127.0.0.1:8443"]
    assert lines[2] == ["internal", "http://127.0.0.1:8081"]
    waiting = ["+", "1", "frozen", "+", "1", "prepared"]
    assert lines[-1] == ["default", "hello", "True", "1", *waiting, "http://hello.default.localhost:8080"]
    assert document == {
        "home": str(recorded.home),
        "kubeconfig": str(recorded.home / "kubeconfig"),
        "process": {"pid": os.getpid()},
        "gateway": {"pid": None, "pids": []},
        "urls": {
            "http": "http://127.0.0.1:8080",
            "https": "https://127.0.0.1:8443",
            "internal": "http://127.0.0.1:8081",
            "api": recorded.server.url,
        },
        "services": [
            {
                "namespace": "default",
                "name": "hello",
                "ready": "True",
                "reason": "",
                "instances": 1,
                "standby": 1,
                "prepared": 1,
                "url": "http://hello.default.localhost:8080",
            }
        ],
        "parts": [],
        "disk": {},
    }


@pytest.mark.parametrize("terminal", [False, True], ids=["pipe", "terminal"])
def test_names_and_urls_are_not_cut_on_a_narrow_terminal(recorded: World, terminal: bool) -> None:
    name = f"a-service-with-a-name-of-its-own-{'terminal' if terminal else 'pipe'}"
    url = f"http://{name}.default.a-domain-that-is-long-as-well.example.com"
    split = [{"revisionName": f"{name}-00001", "percent": 100, "url": url}]
    recorded.given(kinds.SERVICE, {**service(name), "status": {**READY, "url": url, "traffic": split}})
    recorded.given(kinds.REVISION, revision(name, f"{name}-00001"))

    for arguments in (["status"], ["get", "ksvc"], ["traffic", name]):
        shown = printed(recorded, arguments, terminal=terminal)

        assert name in shown
        assert "…" not in shown
    assert f"{url}:8080" in printed(recorded, ["status"], terminal=terminal)
    assert f"{name}-00001" in printed(recorded, ["explain", f"{name}-00001"], terminal=terminal)


def printed(recorded: World, arguments: list[str], *, terminal: bool) -> str:
    """The output of a command into a pipe, or on a terminal, 20 columns wide."""
    command = [sys.executable, "-m", "tidegate", *arguments, f"--data-dir={recorded.home}"]
    environment = {**os.environ, "COLUMNS": "20", "NO_COLOR": ""}
    if not terminal:
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        shown = b"".join(iter(lambda: read(ours), b""))
    os.close(ours)
    assert process.returncode in (0, failures.UNHEALTHY), shown
    return shown.decode()


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux returns EIO when the other side is closed
        return b""


def test_a_second_up_in_the_same_folder_is_refused(recorded: World) -> None:
    message = f"Tidegate already runs in {recorded.home} (process {os.getpid()})"

    assert recorded.fails("up") == message
    assert recorded.fails("up", "--detach") == message


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--http-port", "65536"), "Invalid value for '--http-port': "),
        (("--api-port", "api"), "Invalid value for '--api-port': 'api' is not a valid whole number."),
        (("--domain", "No.Good"), '--domain: "No.Good" is not a domain name in lower case'),
    ],
)
def test_invalid_options_of_up_start_nothing(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    answer = invoke("up", *arguments, home=tmp_path / "home")

    assert answer.code == 2
    assert answer.err.startswith(f"error: {message}")
    assert len(answer.err.splitlines()) == 1
    assert not (tmp_path / "home").exists()


def test_an_impossible_state_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    for arguments in (("up", "--detach"), ("up",)):
        answer = invoke(*arguments, home=tmp_path / "file" / "home")

        assert answer.code == 1
        assert len(answer.err.splitlines()) == 1
        assert str(tmp_path / "file") in answer.err


def test_status_fails_and_down_succeeds_without_a_running_tidegate(tmp_path: Path) -> None:
    status, down = invoke("status", home=tmp_path), invoke("down", home=tmp_path)

    assert (status.code, status.err) == (
        1,
        f"error: Tidegate is not running in {tmp_path}: start it with `tidegate up`\n",
    )
    assert (down.code, down.out) == (0, f"Tidegate is not running in {tmp_path}\n")
