# SPDX-License-Identifier: Apache-2.0
"""The user's choices for the Pod network, and whether this host can have one. Called by: `pod_network.py`, `host.py`;
`embedded.py` builds the options."""

import os
import shutil
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

CLAIMS = Path("/run/tidegate/network")
_CAPABILITIES = {12: "CAP_NET_ADMIN", 21: "CAP_SYS_ADMIN"}


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """`folder`: for the namespaces. `record`: the file for the plan. `subnet`: chosen by the user; None for a free one.
    `metadata`: whether Pods reach link-local addresses, e.g. the metadata server of a cloud. `claims`: the folder where
    all Tidegates of this host note their subnets."""

    folder: Path
    record: Path
    subnet: IPv4Network | None = None
    metadata: bool = False
    claims: Path = CLAIMS


def missing() -> str:
    """The first thing that this host or this user lacks for a Pod network; "" if nothing is missing."""
    if os.geteuid() != 0:
        return "pods have networks of their own only if root runs Tidegate"
    effective = _effective_capabilities()
    for bit, name in _CAPABILITIES.items():
        if not effective >> bit & 1:
            return f"the network of pods needs {name}"
    if shutil.which("nft") is None:
        return "the network of pods needs the program nft: install the package nftables"
    return ""


def _effective_capabilities() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("CapEff:"):
            return int(line.split()[1], 16)
    return 0
