# SPDX-License-Identifier: Apache-2.0
"""The gate's shared library, and whether it fits an Envoy.

Envoy loads the module named `gate` from `libgate.so` in the folder that $ENVOY_DYNAMIC_MODULES_SEARCH_PATH names:
`GATE.path().parent`. Only the standard library is imported here: the build hook loads this file too.
"""

import mmap
from pathlib import Path

from tidegate.kit.native import Native, NativeError

ABI = "v0.2.0"  # what Envoy 1.40 calls its dynamic-module ABI; `gate/hooks.cc` answers the same
FLAGS = ("-std=c++20", "-O2", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread")
_LINK = ("-s", "-Wl,-z,nodelete")  # nodelete: its reporter's thread must outlive Envoy's last use of it
_HERE = Path(__file__).resolve().parent

GATE = Native("the gate", _HERE / "libgate.so", _HERE.parent.parent / "gate", FLAGS + _LINK)


def check(envoy: Path) -> None:
    """Raises a NativeError unless that Envoy speaks the ABI which the gate was written for.

    Envoy itself only warns of another version and then calls into the module all the same. The version is a text among
    its read-only data.
    """
    with envoy.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        speaks = text.find(b"\0" + ABI.encode() + b"\0") >= 0
    if not speaks:
        raise NativeError(f"{envoy} does not speak the dynamic-module ABI {ABI}: the gate is made for Envoy 1.40")
