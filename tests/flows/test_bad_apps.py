# SPDX-License-Identifier: Apache-2.0
"""Apps that crash, never listen or cannot start: conditions have Knative's reasons and messages, and clients get a
short reason."""

import asyncio
import json
import os
import signal
import socket
import sys
from typing import Any

import pytest

from harness.platform import APP, Platform, eventually, send, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]


def running(name: str, *command: str, **template_annotations: str) -> dict[str, Any]:
    obj = service(name, annotations=template_annotations)
    obj["spec"]["template"]["spec"]["containers"][0]["command"] = list(command)
    return obj


def condition(obj: Any, kind: str) -> Any:
    return next((entry for entry in obj.get("status", {}).get("conditions", []) if entry["type"] == kind), {})


def uids(platform: Platform, revision: str) -> set[str]:
    return {pod["metadata"]["uid"] for pod in platform.pods(revision)}


async def test_a_crashing_app_shows_its_exit_code_and_last_lines(platform: Platform) -> None:
    platform.apply(running("crashes", sys.executable, "-c", "print('no database here'); raise SystemExit(7)"))

    await eventually(
        lambda: condition(platform.get("revision", "crashes-00001"), "ContainerHealthy").get("status") == "False",
        "the crash in the revision's conditions",
    )

    healthy = condition(platform.get("revision", "crashes-00001"), "ContainerHealthy")
    assert healthy["reason"] == "ExitCode7"
    assert "no database here" in healthy["message"]
    ready = condition(platform.get("ksvc", "crashes"), "Ready")
    assert (ready["status"], ready["reason"]) == ("False", "RevisionFailed")
    assert "no database here" in ready["message"]


async def test_a_missing_command_of_an_app_is_in_its_conditions(platform: Platform) -> None:
    platform.apply(running("missing", "/no/such/program"))

    await eventually(
        lambda: condition(platform.get("ksvc", "missing"), "Ready").get("status") == "False", "the missing program"
    )

    assert "/no/such/program" in condition(platform.get("ksvc", "missing"), "Ready")["message"]


async def test_an_app_that_never_listens_fails_at_its_progress_deadline(platform: Platform) -> None:
    deaf = running(
        "deaf", sys.executable, "-c", "import signal; signal.pause()", **{"serving.knative.dev/progress-deadline": "2s"}
    )
    platform.apply(deaf)

    await eventually(
        lambda: condition(platform.get("revision", "deaf-00001"), "ResourcesAvailable").get("status") == "False",
        "the deadline",
    )

    assert (
        condition(platform.get("revision", "deaf-00001"), "ResourcesAvailable")["reason"] == "ProgressDeadlineExceeded"
    )


async def test_an_app_that_breaks_later_is_answered_with_503_and_a_reason(platform: Platform, tmp_path: Any) -> None:
    flag = tmp_path / "broken"
    broken = f"os.path.exists({str(flag)!r}) and sys.exit('the disk is full')"
    app = running(
        "turns-bad",
        sys.executable,
        "-c",
        f"import os, sys; {broken}; exec(open(sys.argv[1]).read())",
        str(APP),
        **{"autoscaling.knative.dev/window": "6s"},
    )
    platform.apply(app)
    platform.wait_ready("turns-bad")
    await eventually(lambda: not platform.pods("turns-bad-00001"), "scale to zero")
    flag.touch()

    async with platform.client("turns-bad") as client:
        answer = await client.get("/")

    assert answer.status_code == 503
    assert "(reason: ContainerFailed," in answer.text
    assert "the disk is full" not in str(answer.headers) + answer.text
    assert "the disk is full" in condition(platform.get("revision", "turns-bad-00001"), "ContainerHealthy")["message"]


async def test_requests_wait_while_all_crashed_instances_restart(platform: Platform) -> None:
    """Without a sandbox, in which every instance has the same process id."""
    annotations = {"autoscaling.knative.dev/min-scale": "3", "tidegate.dev/sandbox": "none"}
    platform.apply(service("falls", annotations=annotations))
    platform.wait_ready("falls")
    before = uids(platform, "falls-00001")

    async with platform.client("falls") as client:
        pids: set[int] = set()
        while len(pids) < 3:
            answers = await asyncio.gather(*[client.get("/?sleep=0.05") for _ in range(6)])
            pids |= {int(answer.text.split()[2]) for answer in answers}
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        after = await send(client, 260, at_once=26)

    assert after == {"200 hello falls-00001": 260}
    assert uids(platform, "falls-00001") == before
    of_service = ("get", "events", "--field-selector", "involvedObject.name=falls", "-o", "json")
    seen = {event["reason"] for event in json.loads(platform.kubectl(*of_service))["items"]}
    assert "LatestReadyUpdate" in seen
    assert "LatestReadyFailed" not in seen


async def test_an_app_that_ignores_its_port_gets_advice_and_runs_when_its_spec_names_the_port(
    platform: Platform,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    app = running("ignores", "/usr/bin/env", f"PORT={port}", sys.executable, str(APP))
    platform.apply(app)

    def words() -> str:
        ready = condition(platform.get("ksvc", "ignores"), "Ready")
        return str(ready.get("message", "")) if ready["status"] == "Unknown" else ""

    await eventually(lambda: "the app has opened" in words(), "what the Service's condition says")
    assert f"the app has opened 127.0.0.1:{port}: let it listen on $PORT" in words()
    assert f"ignores-00001 listens on {port}" in words()

    app["spec"]["template"]["spec"]["containers"][0]["ports"] = [{"containerPort": port}]
    platform.kubectl("delete", "ksvc", "ignores")
    await eventually(lambda: not platform.pods("ignores-00001"), "the end of the instance")
    platform.apply(app)
    platform.wait_ready("ignores")
    async with platform.client("ignores") as client:
        assert (await client.get("/")).status_code == 200
