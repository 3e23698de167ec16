# SPDX-License-Identifier: Apache-2.0
"""A session with an instance from a real kubectl and from the command line, through the whole of Tidegate."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from harness.platform import Platform, eventually, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]

CONTENT = os.urandom(2_000_000)


def environment(platform: Platform, websocket: str = "true") -> dict[str, str]:
    home = platform.home
    variables = ("KUBECTL_REMOTE_COMMAND_WEBSOCKETS", "KUBECTL_PORT_FORWARD_WEBSOCKETS")
    return {**os.environ, "KUBECONFIG": str(home / "kubeconfig"), **dict.fromkeys(variables, websocket)}


@contextmanager
def running(platform: Platform, *command: str, websocket: str = "true") -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(command, env=environment(platform, websocket), stdout=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def is_asleep(seconds: str) -> bool:
    """Whether `sleep SECONDS` runs: in a sandbox a program has another pid for itself than for us."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return f"sleep {seconds}" in found.splitlines()


async def test_kubectl_and_the_command_line_work_with_an_instance_and_leave_nothing(platform: Platform) -> None:
    platform.apply(service("open", annotations={"autoscaling.knative.dev/min-scale": "1"}))
    platform.wait_ready("open")
    (pod,) = platform.pods("open-00001")
    name = pod["metadata"]["name"]

    for websocket in ("true", "false"):
        done = subprocess.run(
            ["kubectl", "exec", "-i", name, "--", "sh", "-c", "cat; exit 7"],
            input=CONTENT,
            check=False,
            capture_output=True,
            env=environment(platform, websocket),
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (7, CONTENT)
        with running(platform, "kubectl", "port-forward", name, ":8080", websocket=websocket) as forward:
            assert forward.stdout is not None
            port = forward.stdout.readline().split(b" -> ")[0].rpartition(b":")[2].decode()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20) as answer:
                assert answer.status == 200
        seconds = f"300.{os.getpid()}"
        sleeps = ("kubectl", "exec", name, "--", "sh", "-c", f"echo on; sleep {seconds}; true")
        with running(platform, *sleeps, websocket=websocket) as run:
            assert run.stdout is not None
            assert run.stdout.readline() == b"on\n"
            await eventually(partial(is_asleep, seconds), "the program runs")
        await eventually(lambda: not is_asleep(seconds), "the program has ended with its client")  # noqa: B023

    done = subprocess.run(
        [sys.executable, "-m", "tidegate", "exec", "-i", "open", "--", "sh", "-c", "cat; exit 5"],
        input=CONTENT,
        check=False,
        capture_output=True,
        env={**os.environ, "TIDEGATE_HOME": str(platform.home)},
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (5, CONTENT)
