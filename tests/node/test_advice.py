# SPDX-License-Identifier: Apache-2.0
"""Apps that do not listen on $PORT: the advice for them, and when they run anyway."""

import os
import signal
import socket
from pathlib import Path

import pytest

from harness.node import container, is_ready, node, pod, python
from tidegate.model import names
from tidegate.model.objects import Object, annotations, status
from tidegate.model.pods import awaited, endpoint, failure
from tidegate.node import advice
from tidegate.node.port_lease import PortLease
from tidegate.node.ports import PortPool
from tidegate.node.runtime import ListeningSocket

IGNORES = """
import socket, sys
print("starts", flush=True)
server = socket.create_server((sys.argv[2] if len(sys.argv) > 2 else "0.0.0.0", int(sys.argv[1])))
print("serves", flush=True)
while True:
    server.accept()[0].close()
"""


@pytest.mark.parametrize(
    ("found", "words", "expected"),
    [
        pytest.param(None, "one", ": let it listen on $PORT (its last lines: one)", id="ports that nobody lets us see"),
        pytest.param([], "", "; the app has opened no port: let it listen on $PORT", id="no port"),
        pytest.param(
            [("0.0.0.0", 5055)],
            "one\n\ntwo\nthree\nfour\n",
            "; the app has opened 0.0.0.0:5055: let it listen on $PORT, or set ports[0].containerPort to 5055, which "
            "only one instance here can have (its last lines: two | three | four)",
            id="another port",
        ),
        pytest.param(
            [("0.0.0.0", 5055), ("127.0.0.1", 9229)],
            "",
            "; the app has opened 0.0.0.0:5055, 127.0.0.1:9229: let it listen on $PORT, or set ports[0].containerPort "
            "to the one of these that takes requests, which only one instance here can have",
            id="several ports",
        ),
        pytest.param(
            [("::1", 19362)],
            "",
            "; the app has opened [::1]:19362: let it listen on 127.0.0.1 or on all addresses",
            id="the right port on another address",
        ),
    ],
)
def test_an_app_that_listens_elsewhere_gets_the_ports_and_advice(
    found: list[tuple[str, int]] | None, words: str, expected: str
) -> None:
    listeners = None if found is None else [ListeningSocket(*where, 0, number) for number, where in enumerate(found)]

    lease = PortLease(PortPool(), 19362)
    assert advice.of(lease, listeners, words) == f"waiting for 127.0.0.1:19362{expected}"


@pytest.mark.parametrize(
    ("address", "port", "expected"),
    [
        ("127.0.0.1", 8080, "let it listen on all addresses"),
        ("0.0.0.0", 5055, "let it listen on $PORT, or set ports[0].containerPort to 5055"),
    ],
)
def test_an_app_with_an_address_of_its_own_gets_advice_for_that(address: str, port: int, expected: str) -> None:
    found = [ListeningSocket(address, port, 0, 1)]
    text = advice.of(PortLease(None, 8080, "10.0.0.7"), found, "")

    assert text == f"waiting for 10.0.0.7:8080; the app has opened {address}:{port}: {expected}"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def fixed(name: str, port: int, named: int, *address: str) -> Object:
    """An app that listens on `port` whatever $PORT is, and whose spec names `named`."""
    program = (*python(IGNORES), str(port), *address)
    readiness = {"tcpSocket": {"port": named}, "successThreshold": 1}
    return pod(name, *program, ports=[{"containerPort": named}], readinessProbe=readiness)


async def test_an_app_that_listens_on_another_port_is_found_and_the_port_is_named(tmp_path: Path) -> None:
    port = free_port()
    async with node(tmp_path) as world:
        await world.create(fixed("elsewhere", port, 8080))
        obj = await world.until("elsewhere", lambda obj: bool(awaited(obj)))

        here = f"127.0.0.1:{annotations(obj)[names.PORT]}"
        assert awaited(obj).startswith(f"user-container: waiting for {here}; the app has opened 0.0.0.0:{port}: let it")
        assert f"set ports[0].containerPort to {port}" in awaited(obj)
        assert "(its last lines: starts | serves)" in awaited(obj)
        assert awaited(obj).endswith(f"readiness probe: dial tcp {here}: connection refused")


async def test_an_app_that_never_listens_ends_with_the_finding_of_its_startup_probe(tmp_path: Path) -> None:
    startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    async with node(tmp_path) as world:
        await world.create(pod("deaf", *python("import signal; signal.pause()"), startupProbe=startup))
        obj = await world.until("deaf", lambda obj: failure(obj) is not None)

        found = failure(obj)
        assert found is not None
        assert "startup probe: dial tcp 127.0.0.1:" in found.message
        assert "the app has opened no port: let it listen on $PORT" in found.message


async def test_the_message_of_a_failed_startup_probe_has_the_last_lines_once(tmp_path: Path) -> None:
    startup = {"tcpSocket": {"port": 8080}, "periodSeconds": 1, "failureThreshold": 1}
    speaks = "import signal; print('no database here', flush=True); signal.pause()"
    async with node(tmp_path) as world:
        await world.create(pod("speaks", *python(speaks), startupProbe=startup))
        obj = await world.until("speaks", lambda obj: failure(obj) is not None)

        found = failure(obj)
        assert found is not None
        assert found.message.count("no database here") == 1
        assert found.message.endswith("let it listen on $PORT\nno database here")


async def test_an_app_on_the_port_that_its_spec_names_gets_requests_there(tmp_path: Path) -> None:
    """Also once it has crashed, and after a restart of the agent."""
    port = free_port()
    async with node(tmp_path) as world:
        await world.create(fixed("fixed", port, port))
        ready = await world.ready("fixed")
        assert endpoint(ready) == f"127.0.0.1:{port}"

        os.kill(int(container(ready)["containerID"].removeprefix("process://").partition(".")[0]), signal.SIGKILL)
        again = await world.until("fixed", lambda obj: is_ready(obj) and container(obj)["restartCount"] == 1)
        assert endpoint(again) == f"127.0.0.1:{port}"

        world.supervisor.stop()
        await world.supervisor.stopped()
        world.supervisor.start(pods=world.pods.run, node=world.agent.run)
        await world.create(pod("other"))
        await world.ready("other")
        adopted = await world.ready("fixed")
        assert endpoint(adopted) == endpoint(again)
        assert status(adopted)["conditions"] == status(again)["conditions"]  # ready all the time


async def test_a_second_instance_with_the_same_fixed_port_says_why_it_cannot_run(tmp_path: Path) -> None:
    port = free_port()
    async with node(tmp_path) as world:
        await world.create(fixed("first", port, port))
        await world.ready("first")
        await world.create(fixed("second", port, port))
        obj = await world.until("second", lambda obj: failure(obj) is not None)

        found = failure(obj)
        assert found is not None
        assert found.reason == "ExitCode1"
        assert f"port {port} is in use on this host, perhaps by another instance" in found.message
        assert is_ready(await world.until("first", is_ready))
