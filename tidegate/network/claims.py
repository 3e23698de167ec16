# SPDX-License-Identifier: Apache-2.0
"""Which Tidegate of this host has which subnet.

In: `NetworkOptions`, and the subnets that the host uses. Out: a `NetworkPlan` that no other Tidegate has, the same at
each start while it is free; or `NoSubnet`. Called by: `pod_network.py` and `host.py`, in a thread.

A claim is a file in /run/tidegate/network that names a state folder's record. A lock makes the choice of one Tidegate
complete before the next one looks. The record in the state folder keeps the plan too: /run is empty after a restart of
the host.
"""

import fcntl
import os
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from ipaddress import IPv4Network
from pathlib import Path

import msgspec

from tidegate.kit.files import write_whole
from tidegate.network import plan
from tidegate.network.errors import NoSubnet
from tidegate.network.options import NetworkOptions
from tidegate.network.plan import NetworkPlan

_LOCK = "lock"
Used = Callable[[], Collection[IPv4Network]]
"""The subnets of this host's routes and addresses."""


class _Recorded(msgspec.Struct):
    subnet: str


class _Claim(msgspec.Struct):
    record: str
    folder: str

    @property
    def stands(self) -> bool:
        """Whether the state folder is still there."""
        return Path(self.record).exists()


def claim(options: NetworkOptions, used: Used) -> NetworkPlan:
    """The plan of the Tidegate with that record, from now until `release`."""
    with _locked(options.claims):
        claims = _claims(options)
        last = recorded(options.record)
        mine = {each for each, owner in claims.items() if _is_ours(owner, options)}
        if mine and options.subnet not in (None, *mine):
            raise NoSubnet(f"--pod-cidr {options.subnet}: Pods still have {min(mine)}; run `tidegate down` first")
        chosen = NetworkPlan(min(mine)) if mine else _choose(options, last, [*claims, *used()])
        claim = _Claim(str(options.record), str(options.folder))
        _file(options, chosen).write_bytes(msgspec.json.encode(claim))
        if chosen != last:
            write_whole(options.record, msgspec.json.encode(_Recorded(str(chosen.subnet))), durable=True)
        return chosen


def release(options: NetworkOptions, released: NetworkPlan) -> int:
    """Give a subnet up; returns how many Tidegates have one. The record stays: the next start takes the same subnet if
    it is free."""
    with _locked(options.claims):
        _file(options, released).unlink(missing_ok=True)
        return len(_claims(options))


def claimed(options: NetworkOptions) -> NetworkPlan | None:
    """The plan that the Tidegate with that record has now."""
    last = recorded(options.record)
    owner = _claims(options).get(last.subnet) if last is not None else None
    return last if owner is not None and _is_ours(owner, options) else None


def orphans(options: NetworkOptions) -> Mapping[NetworkPlan, Path]:
    """The plans whose state folders were deleted without `tidegate down`, and the folders of their namespaces."""
    return {NetworkPlan(subnet): Path(owner.folder) for subnet, owner in _claims(options).items() if not owner.stands}


def recorded(record: Path) -> NetworkPlan | None:
    """The plan of the last start; None if there is none, or if the record is damaged."""
    with suppress(OSError, ValueError, msgspec.DecodeError):
        return NetworkPlan(plan.parse(msgspec.json.decode(record.read_bytes(), type=_Recorded).subnet))
    return None


def _choose(options: NetworkOptions, last: NetworkPlan | None, taken: list[IPv4Network]) -> NetworkPlan:
    if options.subnet is not None:
        return plan.requested(options.subnet, taken)
    if last is not None and not plan.collisions(last.subnet, taken):
        return last
    return plan.plan(taken, zlib.crc32(os.fsencode(options.record)))


def _is_ours(owner: _Claim, options: NetworkOptions) -> bool:
    return owner.record == str(options.record)


def _claims(options: NetworkOptions) -> Mapping[IPv4Network, _Claim]:
    found = {}
    for file in options.claims.glob("*_*"):
        with suppress(OSError, ValueError, msgspec.DecodeError):
            found[IPv4Network(file.name.replace("_", "/"))] = msgspec.json.decode(file.read_bytes(), type=_Claim)
    return found


def _file(options: NetworkOptions, of: NetworkPlan) -> Path:
    return options.claims / str(of.subnet).replace("/", "_")


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)  # others hold it for some milliseconds
        yield
    finally:
        os.close(handle)
