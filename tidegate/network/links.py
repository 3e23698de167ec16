# SPDX-License-Identifier: Apache-2.0
"""Interfaces, addresses and routes, through netlink (pyroute2).

In: a `NetworkPlan` and the number of a Pod. Out: the Pod's interface pair in the kernel, or the host's address and
route. Called by: `claims.py`, `pods.py` and `host.py`, in a thread: the calls block for some milliseconds.

Both ends of a Pod's interface pair have the same hardware address and no ARP. Each end then sends every frame to its
own address, which is the other end's address too, so nothing is looked up and no Pod can announce a false address.
"""

import errno
import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from tidegate.network import namespaces
from tidegate.network.plan import NetworkPlan

POD_INTERFACE = "eth0"
"""The Pod's end."""

_LOOPBACK = 1  # the index of `lo` in every namespace
_ON_LINK = 4  # RTNH_F_ONLINK: the gateway needs no route of its own
_UNREACHABLE = 7  # RTN_UNREACHABLE
_UP_SECONDS = 1.0
_SYSCTL = Path("/proc/sys/net")
_IN_POD = {
    "ipv6/conf/all/disable_ipv6": "1",
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv4/ip_unprivileged_port_start": "0",  # as Docker: an app that is not root may listen on port 80
    "ipv4/ping_group_range": "0 2147483647",
}
_ON_HOST = {
    "ipv6/conf/{}/disable_ipv6": "1",
    "ipv4/conf/{}/forwarding": "1",
    "ipv4/conf/{}/rp_filter": "1",
}


def used_subnets() -> list[IPv4Network]:
    """The subnets of all routes of this host, in all tables; addresses are among them."""
    with opened() as netlink:
        return [
            IPv4Network((route.get("dst") or "0.0.0.0", route["dst_len"]), strict=False)  # noqa: S104
            for route in netlink.get_routes(family=socket.AF_INET)
        ]


def add_gateway(plan: NetworkPlan) -> None:
    """Give this host the gateway's address, and route no address of the subnet elsewhere. Idempotent."""
    with opened() as netlink:
        with _ignored(errno.EEXIST):
            netlink.addr("add", index=_LOOPBACK, address=str(plan.gateway), prefixlen=32)
        with _ignored(errno.EEXIST):
            netlink.route("add", dst=str(plan.subnet), type=_UNREACHABLE)


def remove_gateway(plan: NetworkPlan) -> None:
    with opened() as netlink:
        with _ignored(errno.ESRCH):
            netlink.route("del", dst=str(plan.subnet), type=_UNREACHABLE)
        with _ignored(errno.EADDRNOTAVAIL):
            netlink.addr("del", index=_LOOPBACK, address=str(plan.gateway), prefixlen=32)


def add_pod(plan: NetworkPlan, number: int, namespace: Path) -> None:
    """Make the namespace of a Pod on that file, with its interface pair."""
    address, name = plan.address(number), plan.interface(number)
    mac = "0a:58:" + ":".join(f"{byte:02x}" for byte in address.packed)  # 0a: administered locally
    with namespaces.new(namespace):
        _set(_IN_POD)
        pod = IPRoute()
    with opened() as host, _errors(), pod, namespaces.handle(namespace) as inside:
        peer = {"ifname": POD_INTERFACE, "net_ns_fd": inside, "address": mac}
        host.link("add", ifname=name, kind="veth", address=mac, arp=False, peer=peer)
        _set({path.format(name): value for path, value in _ON_HOST.items()})
        index = socket.if_nametoindex(name)
        host.link("set", index=index, state="up")
        host.route("add", dst=f"{address}/32", oif=index, scope="link", prefsrc=str(plan.gateway))
        pod.link("set", index=_LOOPBACK, state="up")
        (index,) = pod.link_lookup(ifname=POD_INTERFACE)
        pod.addr("add", index=index, address=str(address), prefixlen=32)
        pod.link("set", index=index, state="up", arp=False)
        pod.route("add", dst="default", gateway=str(plan.gateway), oif=index, flags=_ON_LINK)
        _await_up(host, socket.if_nametoindex(name))


def _await_up(host: IPRoute, index: int) -> None:
    """Wait until the end that was brought up first sends: until then the kernel drops its packets, and a connection
    would take a second more."""
    deadline = time.monotonic() + _UP_SECONDS
    while host.get_links(index)[0].get("operstate") != "UP" and time.monotonic() < deadline:
        time.sleep(0.001)


def remove_route(plan: NetworkPlan, number: int) -> None:
    """Cut a Pod off at once: without a route, its packets have a source that its interface may not have."""
    with opened() as host, _ignored(errno.ESRCH):
        host.route("del", dst=f"{plan.address(number)}/32")


def remove_interface(name: str) -> None:
    """Remove an interface pair. The kernel takes some 20 ms."""
    with opened() as host, _ignored(errno.ENODEV), suppress(OSError):
        host.link("del", index=socket.if_nametoindex(name))


def interfaces(prefix: str) -> set[str]:
    """The interfaces of this host whose names begin with these letters."""
    return {name for _, name in socket.if_nameindex() if name.startswith(prefix)}


@contextmanager
def opened() -> Iterator[IPRoute]:
    """Netlink of the namespace that this thread is in. The kernel's errors become `OSError`."""
    with _errors(), IPRoute() as netlink:
        yield netlink


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code)) from error


@contextmanager
def _ignored(number: int) -> Iterator[None]:
    try:
        yield
    except NetlinkError as error:
        if error.code != number:
            raise


def _set(values: Mapping[str, str]) -> None:
    """Write settings of the namespace that this thread is in. The kernel may be without IPv6."""
    for path, value in values.items():
        with suppress(FileNotFoundError):
            (_SYSCTL / path).write_text(value)
