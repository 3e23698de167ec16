# SPDX-License-Identifier: Apache-2.0
"""The gate's shared library, and the check that it fits Envoy.

Envoy loads the module named `gate` from `libgate.so` in the folder in $ENVOY_DYNAMIC_MODULES_SEARCH_PATH, which is
`GATE.path().parent`. This file imports only the standard library, because the build hook loads it too. Called by:
`envoys/envoys.py`.
"""

import mmap
from pathlib import Path

from tidegate.kit.native import Native, NativeError

ABI = "v0.2.0"  # of the dynamic modules of Envoy 1.40; `gate/hooks.cc` has the same
FLAGS = ("-std=c++20", "-O2", "-fPIC", "-fvisibility=hidden", "-shared", "-pthread")
_LINK = ("-s", "-Wl,-z,nodelete")  # nodelete: the reporter's thread runs longer than Envoy uses the library
_HERE = Path(__file__).resolve().parent

GATE = Native("the gate", _HERE / "libgate.so", _HERE.parent.parent / "gate", FLAGS + _LINK)


def check(envoy: Path) -> None:
    """Raise a NativeError unless that Envoy has the gate's ABI.

    Envoy itself only logs a warning about another version, and then calls the module nevertheless. The version is a
    string in the binary's read-only data.
    """
    with envoy.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        fits = text.find(b"\0" + ABI.encode() + b"\0") >= 0
    if not fits:
        raise NativeError(f"{envoy} does not speak the dynamic-module ABI {ABI}: the gate is built for Envoy 1.40")
