# SPDX-License-Identifier: Apache-2.0
"""The plan of the Pod network: its addresses, and the names of everything that Tidegate adds to the host.

In: the subnets that the host uses. Out: a `NetworkPlan` in a free subnet. Pure. Called by: `claims.py` (chooses);
`pod_network.py`, the gateway and the DNS part (read).

Every name is derived from the subnet, and two Tidegates of a host never have the same subnet (`claims.py`). So they
never have the same interface, address or table.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from tidegate.network.errors import NoSubnet

INTERFACES = "tg"
"""The first letters of every interface of every Tidegate."""

DNS_PORT = 15353
"""Where the DNS part listens at the gateway's address, which no other program has."""

LARGEST, SMALLEST = 16, 28
"""Prefix lengths of the largest and the smallest subnet."""

_LENGTH = 20  # 4,092 Pods; a node takes 1,000
_POOLS = tuple(map(IPv4Network, ("10.208.0.0/12", "172.24.0.0/13", "192.168.0.0/16")))
_WIDE = 8  # shorter prefixes are default routes, whole or in parts (a VPN's 0.0.0.0/1): they leave room for others


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """The network of one Tidegate's Pods. Pods have numbers from 1."""

    subnet: IPv4Network

    @property
    def gateway(self) -> IPv4Address:
        """This host, as Pods see it."""
        return self.subnet[-2]

    @property
    def pods(self) -> int:
        """The most Pods."""
        return self.subnet.num_addresses - 3

    @property
    def name(self) -> str:
        """Distinguishes this network from all others of the host."""
        return f"{int(self.subnet.network_address):08x}"

    @property
    def table(self) -> str:
        """The table of nftables."""
        return f"tidegate_{self.name}"

    @property
    def interfaces(self) -> str:
        """The first letters of the host's ends of the Pods' interfaces."""
        return f"{INTERFACES}{self.name}"

    def address(self, number: int) -> IPv4Address:
        return self.subnet[number]

    def interface(self, number: int) -> str:
        """The host's end of that Pod's interface. Linux takes 15 letters."""
        return f"{self.interfaces}{number:04x}"


def plan(taken: Collection[IPv4Network], seed: int) -> NetworkPlan:
    """A plan in a free subnet. `seed`: where the search begins, so that Tidegates that start together seldom meet."""
    for candidate in _candidates(seed):
        if not collisions(candidate, taken):
            return NetworkPlan(candidate)
    raise NoSubnet("the routes of this host leave no subnet for Pods: choose one by --pod-cidr")


def requested(subnet: IPv4Network, taken: Collection[IPv4Network]) -> NetworkPlan:
    """The plan for a subnet that the user chose."""
    if found := collisions(subnet, taken):
        raise NoSubnet(f"--pod-cidr {subnet} overlaps with {found[0]}, which this host uses")
    return NetworkPlan(subnet)


def collisions(subnet: IPv4Network, taken: Collection[IPv4Network]) -> list[IPv4Network]:
    """The subnets in use that overlap with this one, except default routes."""
    return [other for other in taken if other.prefixlen >= _WIDE and other.overlaps(subnet)]


def parse(text: str) -> IPv4Network:
    """A subnet for Pods. Raises `ValueError` with one line for the user."""
    subnet = IPv4Network(text)
    if not LARGEST <= subnet.prefixlen <= SMALLEST:
        raise ValueError(f"a subnet for Pods has a prefix of {LARGEST} to {SMALLEST} bits, not {subnet.prefixlen}")
    if subnet.is_loopback or subnet.is_link_local or subnet.is_multicast or subnet.is_unspecified:
        raise ValueError(f"{subnet} is no subnet for hosts")
    return subnet


def _candidates(seed: int) -> Iterator[IPv4Network]:
    for pool in _POOLS:
        subnets = list(pool.subnets(new_prefix=_LENGTH))
        first = seed % len(subnets)
        yield from (*subnets[first:], *subnets[:first])
