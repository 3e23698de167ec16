# SPDX-License-Identifier: Apache-2.0
"""A real Tidegate for flow tests, used through its public interfaces only: the command line, `kubectl` and HTTP."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from harness import waiting
from tidegate.model.objects import Object

APP = Path(__file__).with_name("app.py")
PATIENCE = 60.0
"""Seconds after which a test fails that waits for an event: a bound against hanging, never asserted."""


@dataclass
class Platform:
    """One Tidegate with its own folder and ports."""

    home: Path
    gateways: int = 1

    def cli(
        self, *arguments: str, check: bool = True, stdin: str | None = None, folder: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run `tidegate ARGUMENTS` against this platform, in `folder`, without that folder in Python's path."""
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tidegate", *arguments],
            cwd=folder,
            env={**os.environ, "TIDEGATE_HOME": str(self.home), "NO_COLOR": "1", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            input=stdin,
            timeout=2 * PATIENCE,
            check=False,
        )
        if check and done.returncode != 0:
            output = f"{done.stdout}{done.stderr}\n{self.log()}"
            raise AssertionError(f"tidegate {' '.join(arguments)} ended with {done.returncode}:\n{output}")
        return done

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run the real `kubectl ARGUMENTS` against this platform's API and return its output."""
        done = subprocess.run(
            [
                "kubectl",
                "--kubeconfig",
                str(self.home / "kubeconfig"),
                "--cache-dir",
                str(self.home / "kubectl"),
                *arguments,
            ],
            capture_output=True,
            text=True,
            input=stdin,
            timeout=2 * PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def get(self, kind: str, name: str) -> Any:
        return json.loads(self.kubectl("get", kind, name, "-o", "json"))

    def start(self) -> None:
        ports = ("--http-port", "0", "--https-port", "0", "--internal-port", "0", "--api-port", "0")
        self.cli("up", "--detach", *ports, "--gateways", str(self.gateways))

    def stop(self) -> None:
        self.cli("down")

    def crash(self) -> None:
        """Kill the control plane, and return when its keeper has restarted it and it serves."""
        killed = self.status()["process"]["pid"]
        os.kill(killed, signal.SIGKILL)

        def is_restarted() -> bool:
            status = self.cli("status", "-o", "json", check=False).stdout
            return bool(status) and json.loads(status)["process"]["pid"] != killed

        try:
            waiting.eventually_blocking(is_restarted, "another control plane", patience=PATIENCE)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log()}") from None

    def abandon(self) -> None:
        """Kill the control plane and its keeper, the way the kernel does when memory runs out."""
        control = psutil.Process(self.status()["process"]["pid"])
        keeper = control.parent()
        assert keeper is not None
        for process in (keeper, control):
            process.kill()
        psutil.wait_procs([control, keeper], timeout=PATIENCE)

    def status(self) -> Any:
        done = self.cli("status", "-o", "json", check=False)
        assert done.returncode in (0, 4), f"{done.stderr}\n{self.log()}"  # 4: a part does not run
        return json.loads(done.stdout)

    def log(self) -> str:
        """The last lines of all logs, for the messages of failed tests."""
        logs = sorted(self.home.glob("*.log")) + sorted(self.home.glob("*/envoy.log"))
        return "\n".join(f"--- {log.name}\n{log.read_text()[-3000:]}" for log in logs)

    @property
    def gateway(self) -> str:
        return str(self.status()["urls"]["http"])

    def apply(self, *objects: Object) -> None:
        self.kubectl("apply", "-f", "-", stdin="".join(f"---\n{json.dumps(obj)}\n" for obj in objects))

    def wait_ready(self, name: str) -> None:
        self.kubectl("wait", "--for=condition=Ready", f"ksvc/{name}", f"--timeout={PATIENCE:.0f}s")

    def client(self, name: str, **options: Any) -> httpx.AsyncClient:
        """An HTTP client whose requests go through the gateway to the service `name`."""
        return httpx.AsyncClient(
            base_url=self.gateway,
            headers={"host": f"{name}.default.localhost"},
            timeout=PATIENCE,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=None),
            **options,
        )

    def pods(self, revision: str) -> list[Any]:
        listed = json.loads(self.kubectl("get", "pods", "-l", f"serving.knative.dev/revision={revision}", "-o", "json"))
        return list(listed["items"])


@contextmanager
def running(home: Path, *, gateways: int = 1) -> Iterator[Platform]:
    """A started Tidegate; stopped at the end."""
    platform = Platform(home, gateways)
    platform.start()
    try:
        yield platform
    finally:
        platform.stop()


def service(
    name: str, *, greeting: str = "hello", annotations: dict[str, str] | None = None, **revision_spec: Any
) -> Object:
    """A Knative Service that runs the flow tests' app on this host."""
    return {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "template": {
                "metadata": {"annotations": annotations or {}},
                "spec": {
                    "containers": [
                        {
                            "image": "tidegate.dev/host",
                            "command": [sys.executable, str(APP)],
                            "env": [{"name": "GREETING", "value": greeting}],
                        }
                    ],
                    **revision_spec,
                },
            }
        },
    }


async def eventually(holds: Callable[[], bool], what: str) -> None:
    """Look again, in a thread, until `holds` returns True. `what` names it in the failure."""
    await waiting.eventually(lambda: asyncio.to_thread(holds), what, patience=PATIENCE)


async def send(client: httpx.AsyncClient, count: int, *, at_once: int, path: str = "/") -> Counter[str]:
    """Send `count` requests, `at_once` of them at a time. Returns the number of each response, e.g. of
    "200 greeting revision" or "503 body"."""
    answers: Counter[str] = Counter()
    left = iter(range(count))

    async def sender() -> None:
        for _ in left:
            answer = await client.get(path)
            words = answer.text.split()
            answers[f"{answer.status_code} {' '.join(words[:2]) if answer.is_success else answer.text.strip()}"] += 1

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(sender())
    return answers
