# SPDX-License-Identifier: Apache-2.0
"""Which Tidegate of this host has which subnet.

In: a state folder, and a subnet if the user chose one. Out: a `NetworkPlan` that no other Tidegate has, the same at
each start while it is free; or `NoSubnet`. Called by: `pod_network.py`, in a thread.

A claim is a file in /run/tidegate/network with the path of the state folder. A lock makes the choice of one Tidegate
complete before the next one looks. The plan is recorded in the state folder as well: /run is empty after a restart of
the host.
"""

import fcntl
import os
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path

import msgspec

from tidegate.kit.files import write_whole
from tidegate.network import links, plan
from tidegate.network.errors import NoSubnet
from tidegate.network.plan import NetworkPlan

CLAIMS = Path("/run/tidegate/network")
_LOCK = "lock"


class _Recorded(msgspec.Struct):
    subnet: str


def claim(record: Path, subnet: IPv4Network | None, folder: Path = CLAIMS) -> NetworkPlan:
    """The plan of the Tidegate with that record, from now until `release`."""
    with _locked(folder):
        claims = _claims(folder)
        last = recorded(record)
        mine = {each for each, owner in claims.items() if owner == record}
        if last is not None and subnet in (None, last.subnet) and last.subnet in mine:
            return last
        if mine:
            raise NoSubnet(f"--pod-cidr {subnet}: Pods still have {min(mine)}; run `tidegate down` first")
        taken = [*claims, *links.used_subnets()]
        chosen = _choose(record, last, subnet, taken)
        folder.joinpath(_file(chosen.subnet)).write_text(str(record))
        write_whole(record, msgspec.json.encode(_Recorded(str(chosen.subnet))), durable=True)
        return chosen


def release(record: Path, folder: Path = CLAIMS) -> int:
    """Give the subnet up; returns how many other Tidegates have one. The record stays: the next start takes the same
    subnet if it is free."""
    with _locked(folder):
        claims = _claims(folder)
        for subnet, owner in claims.items():
            if owner == record:
                folder.joinpath(_file(subnet)).unlink(missing_ok=True)
        return sum(owner != record for owner in claims.values())


def claimed(record: Path, folder: Path = CLAIMS) -> NetworkPlan | None:
    """The plan that the Tidegate with that record has now."""
    last = recorded(record)
    if last is None:
        return None
    with suppress(OSError):
        if folder.joinpath(_file(last.subnet)).read_text() == str(record):
            return last
    return None


def recorded(record: Path) -> NetworkPlan | None:
    """The plan of the last start; None if there is none, or if the record is damaged."""
    with suppress(OSError, ValueError, msgspec.DecodeError):
        return NetworkPlan(plan.parse(msgspec.json.decode(record.read_bytes(), type=_Recorded).subnet))
    return None


def _choose(
    record: Path, last: NetworkPlan | None, subnet: IPv4Network | None, taken: list[IPv4Network]
) -> NetworkPlan:
    if subnet is not None:
        return plan.requested(subnet, taken)
    if last is not None and not plan.collisions(last.subnet, taken):
        return last
    return plan.plan(taken, zlib.crc32(os.fsencode(record)))


def _claims(folder: Path) -> Mapping[IPv4Network, Path]:
    """The records of all claims. A claim whose state folder was deleted is none."""
    found = {}
    for file in folder.glob("*_*"):
        with suppress(OSError, ValueError):
            owner = Path(file.read_text())
            if owner.exists():
                found[IPv4Network(file.name.replace("_", "/"))] = owner
    return found


def _file(subnet: IPv4Network) -> str:
    return str(subnet).replace("/", "_")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # others hold it for some milliseconds
        yield
    finally:
        os.close(handle)
