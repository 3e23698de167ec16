# SPDX-License-Identifier: Apache-2.0
"""The sockets of a process in a network namespace of its own."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tidegate.kit.processes import Process
from tidegate.node.runtimes.namespace_listening import NamespaceListening

LISTENS_UNTIL_A_LINE = """
import socket, sys
servers = [socket.create_server((sys.argv[1], int(port))) for port in sys.argv[2:]]
print("listens", flush=True)
while sys.stdin.readline():
    servers.pop().close()
    print("closed", flush=True)
"""
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
Program = subprocess.Popen[str]


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for each in started:
        each.kill()
        each.communicate()


def program(programs: list[Program], address: str, *ports: int) -> Program:
    command = ["unshare", "--net", sys.executable, "-c", LISTENS_UNTIL_A_LINE, address, *map(str, ports)]
    made = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    programs.append(made)
    says(made)
    return made


def says(made: Program) -> None:
    assert made.stdout is not None
    assert made.stdout.readline()


def listening(made: Program) -> NamespaceListening:
    process = Process.of(made.pid)
    assert process is not None
    return NamespaceListening(process)


async def test_a_program_is_found_in_its_own_namespace_only(programs: list[Program]) -> None:
    one, other = program(programs, "0.0.0.0", 8080), program(programs, "0.0.0.0", 9090)

    assert await listening(one).problem(8080) is None
    assert await listening(one).problem(9090) == "nothing listens there"
    assert [found.port for found in await listening(other).opened() or ()] == [9090]


async def test_a_port_on_loopback_counts_as_not_listening_and_is_shown(programs: list[Program]) -> None:
    found = listening(program(programs, "127.0.0.1", 8080))

    assert await found.problem(8080) == "nothing listens there"
    assert [str(socket) for socket in await found.opened() or ()] == ["127.0.0.1:8080"]


async def test_the_end_of_listening_is_noticed(programs: list[Program]) -> None:
    made = program(programs, "0.0.0.0", 8080)
    found = listening(made)
    assert await found.problem(8080) is None
    found.hold_port()
    lost = asyncio.create_task(found.lost())
    for _ in range(10):
        found.check()
    await asyncio.sleep(0)
    assert not lost.done()

    assert made.stdin is not None
    made.stdin.write("\n")
    made.stdin.flush()
    says(made)
    for _ in range(10):
        found.check()
    await lost


async def test_a_program_that_has_ended_listens_nowhere(programs: list[Program]) -> None:
    made = program(programs, "0.0.0.0", 8080)
    found = listening(made)
    made.kill()
    made.wait()

    assert await found.problem(8080) == "nothing listens there"
    assert list(await found.opened() or ()) == []
