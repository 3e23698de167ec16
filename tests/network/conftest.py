# SPDX-License-Identifier: Apache-2.0
"""A Pod network in this host's kernel. Its tests need root, and fail in CI without it."""

import asyncio
import os
import random
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from tidegate.network import namespaces
from tidegate.network.options import CLAIMS, NetworkOptions, missing
from tidegate.network.pod_network import PodNetwork, remove_pod_network

HTTP, DNS = 18081, 15353  # where the gateway and the DNS part would listen


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a Pod network where there can be none."""
    problem = missing()
    if problem and not os.environ.get("CI"):
        for item in items:
            if "options" in getattr(item, "fixturenames", ()):
                item.add_marker(pytest.mark.skip(reason=problem))


@pytest.fixture
async def options(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[NetworkOptions]:
    claims = tmp_path / "claims" if "other_host" in request.fixturenames else CLAIMS
    chosen = NetworkOptions(tmp_path / "netns", tmp_path / "network.json", claims=claims)
    yield chosen
    await remove_pod_network(chosen)


@pytest.fixture
async def other_options(tmp_path: Path) -> AsyncIterator[NetworkOptions]:
    """The options of another Tidegate."""
    chosen = NetworkOptions(tmp_path / "other" / "netns", tmp_path / "other" / "network.json")
    chosen.record.parent.mkdir()
    yield chosen
    await remove_pod_network(chosen)


@pytest.fixture
def other_host(tmp_path: Path) -> Iterator[Path]:
    """A network namespace that stands for a host. This thread, and threads that it starts, are in it."""
    path = tmp_path / "host"
    with namespaces.new(path):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("0")  # it is this host's at first
        execute("ip", "link", "set", "lo", "up")
        yield path
    namespaces.remove(path)


@asynccontextmanager
async def running(options: NetworkOptions) -> AsyncIterator[PodNetwork]:
    """The network of a control plane that is killed at the end."""
    network = PodNetwork(options)
    network.listen(HTTP, DNS)
    task = asyncio.create_task(network.run())
    try:
        yield network
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def execute(*command: str, text: str = "") -> str:
    return subprocess.run(command, input=text, capture_output=True, text=True, check=True).stdout


@dataclass(frozen=True, slots=True)
class Outside:
    """Another machine: a namespace that reaches this host by a cable of its own."""

    path: Path
    address: str
    host: str


@contextmanager
def outside(folder: Path) -> Iterator[Outside]:
    """Another machine, until the end."""
    subnet = IPv4Network((0xC6120000 + random.randrange(1 << 14) * 4, 30))  # 198.18.0.0/15 is for tests
    host, address = (str(each) for each in subnet.hosts())
    name, path = f"out{random.randrange(1 << 32):08x}", folder / "outside"
    with namespaces.new(path):
        pass
    try:
        execute("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}-o")
        with namespaces.handle(path) as handle:
            execute("ip", "link", "set", f"{name}-o", "netns", f"/proc/{os.getpid()}/fd/{handle}", "name", "eth0")
        execute("ip", "address", "add", f"{host}/30", "dev", name)
        execute("ip", "link", "set", name, "up")
        inside = ("nsenter", f"--net={path}", "ip")
        execute(*inside, "link", "set", "lo", "up")
        execute(*inside, "address", "add", f"{address}/30", "dev", "eth0")
        execute(*inside, "link", "set", "eth0", "up")
        execute(*inside, "route", "add", "default", "via", host)
        yield Outside(path, address, host)
    finally:
        namespaces.remove(path)


def listener(address: str, port: int = 0, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
    """A socket that waits for one connection or datagram."""
    made = socket.socket(socket.AF_INET, kind)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    made.settimeout(2)
    if kind is socket.SOCK_STREAM:
        made.listen()
    return made


def in_namespace(path: Path, address: str, port: int = 0) -> socket.socket:
    """A listener of a program in that namespace."""
    with namespaces.entered(path):
        return listener(address, port)


def accepted(server: socket.socket) -> str:
    """The address of the client of the next connection."""
    connection, (address, _) = server.accept()
    connection.close()
    return str(address)


def connect(path: Path, address: str, port: int) -> str:
    """How a connection of a program in that namespace ends: "open", or why not."""
    with namespaces.entered(path), socket.socket() as client:
        client.settimeout(1)
        try:
            client.connect((address, port))
        except OSError as error:
            return type(error).__name__ if error.strerror is None else error.strerror
        return "open"
