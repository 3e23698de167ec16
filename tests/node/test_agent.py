# SPDX-License-Identifier: Apache-2.0
"""The agent with real processes, real sockets and a real API."""

import asyncio
import json
import os
import signal
import socket
import sqlite3
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest

from harness.node import LISTENS, container, is_ready, no_requests, node, pod, process_of, python, waiting
from harness.waiting import PATIENCE, eventually
from tidegate.kit.processes import Process
from tidegate.model import errors, names
from tidegate.model.kinds import CONFIG_MAP, NODE, POD, SECRET
from tidegate.model.objects import Key, Object, annotations, spec, status
from tidegate.model.pods import endpoint, failure
from tidegate.store.database import Database, VersionRow

PRINTS_ITS_ENVIRONMENT = (
    """
import json, os, sys
print(json.dumps({"env": dict(os.environ), "cwd": os.getcwd(), "args": sys.argv[1:]}), flush=True)
"""
    + LISTENS
)


class Disk:
    """The store's, which is slow until a test decides how the write ends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._decided, self._full = threading.Event(), False
        append = Database.append

        def late(log: Database, rows: Sequence[VersionRow]) -> None:
            assert self._decided.wait(PATIENCE)
            if self._full:
                raise sqlite3.OperationalError("database or disk is full")
            append(log, rows)

        monkeypatch.setattr(Database, "append", late)

    def continues(self) -> None:
        self._decided.set()

    def is_full(self) -> None:
        self._full = True
        self._decided.set()


def named(name: str) -> Key:
    return Key("default", name)


async def test_a_pod_becomes_a_process_that_answers_on_a_port_of_its_own(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("hello"))
        ready = await world.ready("hello")

        assert spec(ready)["nodeName"] == "here"
        assert status(ready)["phase"] == "Running"
        host, _, port = (endpoint(ready) or "").partition(":")
        assert annotations(ready)[names.PORT] == port
        with socket.create_connection((host, int(port))):
            pass
        assert process_of(ready).alive
        assert os.getsid(process_of(ready).pid) == process_of(ready).pid


async def test_a_ready_instance_is_announced_before_its_pod_says_so(tmp_path: Path) -> None:
    announced: list[tuple[str | None, bool]] = []
    async with node(tmp_path, announce=lambda pod, address: announced.append((address, is_ready(pod)))) as world:
        await world.create(pod("quick"))
        ready = await world.ready("quick")

        assert announced == [(endpoint(ready), False)]


async def test_an_instance_starts_while_its_pod_is_being_committed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: asyncio.Queue[tuple[Object, str | None]] = asyncio.Queue()
    async with node(tmp_path, announce=lambda pod, address: announced.put_nowait((pod, address))) as world:
        disk = Disk(monkeypatch)
        creating = asyncio.create_task(world.create(pod("early")))
        started, address = await announced.get()
        assert await world.get("early") is None
        assert not creating.done()

        disk.continues()
        assert (await creating)["metadata"]["uid"] == started["metadata"]["uid"]
        assert endpoint(await world.ready("early")) == address
        assert announced.empty()


async def test_an_instance_whose_pod_cannot_be_stored_is_drained_and_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    announced: asyncio.Queue[tuple[Object, str | None]] = asyncio.Queue()
    drained: asyncio.Queue[str] = asyncio.Queue()
    over = asyncio.Event()

    async def drain(revision: Key, where: str) -> None:
        drained.put_nowait(where)
        await over.wait()

    async with node(
        tmp_path, announce=lambda pod, address: announced.put_nowait((pod, address)), drained=drain
    ) as world:
        disk = Disk(monkeypatch)
        creating = asyncio.create_task(world.create(pod("never")))
        _, address = await announced.get()
        host, _, port = (address or "").partition(":")
        disk.is_full()
        with pytest.raises(errors.ApiError, match="could not be written"):
            await creating

        assert (await announced.get())[1] is None
        assert await drained.get() == address
        socket.create_connection((host, int(port))).close()
        over.set()
        await eventually(lambda: not any(world.folder.glob("instances/*/record.json")), "no process is left")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)))
        monkeypatch.undo()
        await world.create(pod("never"))
        await world.ready("never")


async def test_several_instances_of_one_revision_run_side_by_side(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        for number in range(5):
            await world.create(pod(f"side-{number}"))
        found = [await world.ready(f"side-{number}") for number in range(5)]

        assert len({endpoint(obj) for obj in found}) == 5


async def test_an_app_has_the_environment_of_its_spec_and_nothing_of_tidegates(tmp_path: Path) -> None:
    os.environ["CONTROL_PLANE_SECRET"] = "leaks"
    try:
        async with node(tmp_path) as world:
            metadata = {"name": "settings", "namespace": "default"}
            texts = {"COLOR": "blue", "SIZE": "9"}
            await world.cluster.create(
                CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": texts}
            )
            secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"password": "s3cret"}}
            await world.cluster.create(SECRET, secret)
            env = [
                {"name": "GREETING", "value": "hi from $(K_SERVICE) at $(PORT), $$(HOME) $(NOPE)"},
                {"name": "PASSWORD", "valueFrom": {"secretKeyRef": {"name": "settings", "key": "password"}}},
                {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "MAYBE", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "no", "optional": True}}},
            ]
            env.insert(0, {"name": "K_SERVICE", "value": "shop"})
            await world.create(
                pod(
                    "env",
                    *python(PRINTS_ITS_ENVIRONMENT),
                    args=["--color=$(X_COLOR)"],
                    env=env,
                    envFrom=[{"prefix": "X_", "configMapRef": {"name": "settings"}}],
                    workingDir=str(tmp_path),
                )
            )
            ready = await world.ready("env")
            printed = json.loads((await world.logs(ready)).splitlines()[0])
    finally:
        del os.environ["CONTROL_PLANE_SECRET"]

    port = annotations(ready)[names.PORT]
    allowed = {"PATH", "HOME", "LANG", "TZ", "PORT", "K_SERVICE", "GREETING", "PASSWORD", "POD", "X_COLOR", "X_SIZE"}
    assert set(printed["env"]) - {"LC_CTYPE", "TIDEGATE_INSTANCE"} <= allowed
    assert printed["env"]["GREETING"] == f"hi from shop at {port}, $(HOME) $(NOPE)"
    assert (printed["env"]["PASSWORD"], printed["env"]["POD"], printed["env"]["X_SIZE"]) == ("s3cret", "env", "9")
    assert printed["args"] == ["--color=blue"]
    assert printed["cwd"] == str(tmp_path)


async def test_a_missing_secret_is_named_and_the_pod_starts_once_it_exists(tmp_path: Path) -> None:
    wanted = {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "later", "key": "key"}}}
    async with node(tmp_path) as world:
        await world.create(pod("waits", env=[wanted]))
        obj = await world.until("waits", lambda obj: bool(waiting(obj).get("message")))
        assert waiting(obj) == {"reason": "CreateContainerConfigError", "message": 'secret "later" not found'}

        metadata = {"name": "later", "namespace": "default"}
        await world.cluster.create(
            SECRET, {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"key": "x"}}
        )
        await world.ready("waits")


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("missing", "/no/such/program"))
        obj = await world.until("missing", lambda obj: waiting(obj).get("reason") == "ContainerMissing")

        assert "/no/such/program" in waiting(obj)["message"]
        assert status(obj)["phase"] == "Pending"
        assert (failure(obj) or ("",))[0] == "ContainerMissing"


async def test_a_pod_that_cannot_run_shows_the_reason(tmp_path: Path) -> None:
    not_executable = tmp_path / "data"
    not_executable.write_text("text")
    refused = {
        "oci": (pod("oci", image="docker.io/library/nginx"), "ErrImagePull", "podman"),
        "oci-mounts": (
            pod("oci-mounts", image="docker.io/library/nginx", volumeMounts=[{"name": "v", "mountPath": "/etc/v"}]),
            "ErrImagePull",
            "podman",
        ),
        "data": (pod("data", str(not_executable)), "CreateContainerError", "may not execute"),
        "folder": (pod("folder", workingDir="/no/such/folder"), "CreateContainerError", "/no/such/folder"),
        "bundle": (pod("bundle", image=f"tidegate.dev/bundle/x@sha256:{'0' * 64}"), "ErrImagePull", "tidegate build"),
        "mounts": (
            pod("mounts", volumeMounts=[{"name": "v", "mountPath": "/etc/v"}]),
            "CreateContainerConfigError",
            "/etc/v",
        ),
    }
    async with node(tmp_path) as world:
        for obj, _, _ in refused.values():
            await world.create(obj)
        for name, (_, reason, words) in refused.items():
            obj = await world.until(name, lambda obj: "message" in waiting(obj))
            assert waiting(obj)["reason"] == reason
            assert words in waiting(obj)["message"]


async def test_an_app_that_crashes_shows_its_exit_code_and_last_lines(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("crashes", *python("print('no database here', flush=True); raise SystemExit(7)")))
        obj = await world.until("crashes", lambda obj: waiting(obj).get("reason") == "CrashLoopBackOff")

        ended = container(obj)["lastState"]["terminated"]
        assert (ended["exitCode"], ended["message"]) == (7, "no database here")
        assert container(obj)["restartCount"] == 2  # the first restart is immediate
        assert failure(obj) == ("ExitCode7", "Container failed with: no database here")
        assert "no database here" in await world.logs(obj, previous=True)
        await world.until_event("BackOff", "Back-off restarting failed container user-container")


async def test_an_app_that_never_listens_is_never_ready(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("deaf", *python("import signal; signal.pause()")))
        obj = await world.until("deaf", lambda obj: status(obj)["phase"] == "Running")

        assert container(obj)["ready"] is False
        assert failure(obj) is None


async def test_an_app_that_dies_is_started_again_on_its_port(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("phoenix"))
        first = await world.ready("phoenix")
        os.kill(process_of(first).pid, signal.SIGKILL)
        second = await world.until("phoenix", lambda obj: is_ready(obj) and container(obj)["restartCount"] == 1)

        assert endpoint(second) == endpoint(first)
        assert process_of(second) != process_of(first)
        assert container(second)["lastState"]["terminated"]["exitCode"] == 137


async def test_a_port_that_another_program_took_is_given_up(tmp_path: Path) -> None:
    late = "import os, time\nwhile not os.path.exists(os.environ['GO']): time.sleep(0.01)\n" + LISTENS
    go = tmp_path / "go"
    async with node(tmp_path) as world:
        await world.create(pod("moves", *python(late), env=[{"name": "GO", "value": str(go)}]))
        bound = await world.until("moves", lambda obj: names.PORT in annotations(obj))
        port = int(annotations(bound)[names.PORT])
        with socket.create_server(("0.0.0.0", port)):
            go.touch()
            ready = await world.until("moves", lambda obj: annotations(obj)[names.PORT] != str(port) and is_ready(obj))

        assert container(ready)["restartCount"] == 0


async def test_a_deleted_pod_drains_and_then_ends_with_all_its_processes(tmp_path: Path) -> None:
    idle = asyncio.Event()
    asked: asyncio.Queue[tuple[Key, str]] = asyncio.Queue()

    async def drained(revision: Key, where: str) -> None:
        asked.put_nowait((revision, where))
        await idle.wait()

    children = """
import os, signal, subprocess, sys
subprocess.Popen(["/bin/sleep", "300"])
subprocess.Popen(["/bin/sleep", "301"], start_new_session=True)
subprocess.Popen(["/usr/bin/env", "-i", "/bin/sleep", "302"])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
"""
    async with node(tmp_path, drained=drained) as world:
        await world.create(pod("family", *python(children + LISTENS)))
        ready = await world.ready("family")
        leader = psutil.Process(process_of(ready).pid)
        pids = [leader.pid, *(child.pid for child in leader.children(recursive=True))]
        members = [member for member in map(Process.of, pids) if member is not None]
        assert len(members) == 4

        await world.cluster.delete(POD, named("family"))
        assert await asked.get() == (named("family"), endpoint(ready))
        assert all(member.alive for member in members)
        idle.set()
        await world.deleted("family")

        assert asked.empty()
        assert not any(member.alive for member in members)
        assert not (tmp_path / "instances" / ready["metadata"]["uid"]).exists()


async def test_an_app_that_ignores_sigterm_is_killed_at_the_end_of_its_grace(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        stubborn = pod("stubborn", *python("import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + LISTENS))
        stubborn["spec"]["terminationGracePeriodSeconds"] = 1
        await world.create(stubborn)
        ready = await world.ready("stubborn")

        await world.cluster.delete(POD, named("stubborn"))
        await world.deleted("stubborn")

        assert not process_of(ready).alive


async def test_a_forced_deletion_ends_it_at_once_even_while_it_drains(tmp_path: Path) -> None:
    async def never(revision: Key, where: str) -> None:
        await asyncio.Event().wait()

    async with node(tmp_path, drained=never) as world:
        await world.create(pod("forced"))
        ready = await world.ready("forced")
        process = process_of(ready)
        await world.cluster.delete(POD, named("forced"))
        await world.cluster.delete(POD, named("forced"), grace_seconds=0)
        await asyncio.wait_for(process.ended(), 10)


async def test_a_liveness_probe_restarts_an_app_that_hangs(tmp_path: Path) -> None:
    flag = tmp_path / "sick"
    script = "import sys, os; sys.exit(os.path.exists(sys.argv[1]))"
    liveness = {
        "exec": {"command": [sys.executable, "-c", script, str(flag)]},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
    async with node(tmp_path) as world:
        await world.create(pod("hangs", livenessProbe=liveness))
        first = await world.ready("hangs")
        flag.touch()
        await world.until("hangs", lambda obj: container(obj)["restartCount"] == 1)
        flag.unlink()
        second = await world.ready("hangs")

        assert process_of(second) != process_of(first)
        await world.until_event("Unhealthy", "exit code 1")


async def test_logs_can_be_followed_to_the_end_of_the_run(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("speaks", *python("import time\nprint('one', flush=True)\n" + LISTENS)))
        ready = await world.ready("speaks")
        following = asyncio.create_task(world.logs(ready, follow=True))
        await asyncio.sleep(0)
        await world.cluster.delete(POD, named("speaks"))

        assert (await asyncio.wait_for(following, 10)).splitlines() == ["one", "listens"]


async def test_the_log_of_an_instance_that_has_ended_can_be_read(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("ended", *python("print('last words', flush=True)\n" + LISTENS)))
        ready = await world.ready("ended")
        await world.cluster.delete(POD, named("ended"))
        await world.deleted("ended")

        assert (await world.logs(ready)).splitlines() == ["last words", "listens"]
        with pytest.raises(errors.BadRequest, match='previous terminated container "user-container" in pod "ended"'):
            await world.logs(ready, previous=True)


async def test_the_log_of_an_instance_that_was_killed_can_be_read(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("killed"))
        ready = await world.ready("killed")
        await world.cluster.delete(POD, named("killed"), grace_seconds=0)
        await eventually(lambda: not any(world.folder.glob("instances/*/record.json")), "no process is left")

        assert (await world.logs(ready)).splitlines() == ["listens"]


async def test_the_previous_log_of_a_container_in_back_off_is_of_its_last_run(tmp_path: Path) -> None:
    """As the kubelet has it: there is no present run, and both questions mean the one that ended last."""
    counts = "import os; os.system('echo run >> count; wc -l < count'); raise SystemExit(1)"
    async with node(tmp_path) as world:
        await world.create(pod("counts", *python(counts), workingDir=str(tmp_path)))
        obj = await world.until("counts", lambda obj: waiting(obj).get("reason") == "CrashLoopBackOff")

        assert await world.logs(obj) == "2\n"
        assert await world.logs(obj, previous=True) == "2\n"


async def test_a_missing_log_is_refused_with_the_reason_why_the_container_waits(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.create(pod("missing", "/no/such/program"))
        obj = await world.until("missing", lambda obj: "message" in waiting(obj))

        with pytest.raises(errors.BadRequest, match='container "user-container" in pod "missing" is waiting to start'):
            await world.logs(obj)
        with pytest.raises(errors.BadRequest, match='previous terminated container "user-container" in pod "missing"'):
            await world.logs(obj, previous=True)


async def test_usage_counts_the_whole_tree(tmp_path: Path) -> None:
    script = "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'while True: pass'])\n" + LISTENS
    async with node(tmp_path) as world:
        await world.create(pod("busy", *python(script)))
        await world.ready("busy")

        async def works() -> bool:
            usage = await world.agent.usage(named("busy"))
            return usage is not None and usage.cpu_seconds >= 0.05

        await eventually(works, "the child of the app uses CPU")
        usage = await world.agent.usage(named("busy"))
        assert usage is not None
        assert usage.memory_bytes > 10 * 2**20
        assert await world.agent.usage(named("nobody")) is None


async def test_the_node_shows_itself(tmp_path: Path) -> None:
    async with node(tmp_path) as world:
        await world.until_node()
        found = await world.cluster.get(NODE, Key("", "here"))

    assert status(found)["capacity"]["cpu"]
    assert status(found)["conditions"][0]["status"] == "True"


async def test_a_pod_of_another_node_is_left_alone(tmp_path: Path) -> None:
    async with node(tmp_path, drained=no_requests) as world:
        elsewhere = pod("elsewhere")
        elsewhere["spec"]["nodeName"] = "there"
        await world.create(elsewhere)
        await world.create(pod("here-too"))
        await world.ready("here-too")

        assert status(await world.get("elsewhere") or {}) == {"phase": "Pending"}


async def test_two_containers_run_beside_each_other(tmp_path: Path) -> None:
    both = pod("both")
    both["spec"]["containers"].append(
        {"name": "sidecar", "image": names.HOST_IMAGE, "command": ["/bin/sleep", "300"]},
    )
    async with node(tmp_path) as world:
        await world.create(both)
        ready = await world.ready("both")

        assert [entry["name"] for entry in status(ready)["containerStatuses"]] == ["user-container", "sidecar"]
