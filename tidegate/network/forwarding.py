# SPDX-License-Identifier: Apache-2.0
"""Lets this host forward the Pods' packets, and no others that it did not forward before.

In: settings of the kernel's interfaces. Out: answers for Pods are forwarded from every interface. Called by: `host.py`,
in a thread.

`net.ipv4.ip_forward` stays as it is, because it would make the host a router between all its networks. If it is 0, only
the forwarding of each interface is enabled, and the firewall drops packets there that are not for Pods
(`FirewallOptions.transit`). The interfaces are noted for all Tidegates of the host; the last one disables them again.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tidegate.network.plan import INTERFACES

_CONF = Path("/proc/sys/net/ipv4/conf")
_OTHERS = ("all", "default", "lo")


def enable(note: Path) -> frozenset[str]:
    """Enable it on all interfaces. Returns the ones with forwarding only for Pods. `note`: the file for their names."""
    noted = _read(note)
    disabled = {name for name in _interfaces() if not _forwards(name)}
    if not disabled <= noted:
        note.write_text("\n".join(sorted(noted | disabled)))
    for name in disabled:
        _write(name, "1")
    return frozenset() if _forwards("all") else frozenset(noted | disabled)


def restore(note: Path) -> None:
    """Disable it where a Tidegate enabled it, unless the host forwards everywhere by now."""
    if not _forwards("all"):
        for name in _read(note):
            _write(name, "0")
    note.unlink(missing_ok=True)


def _interfaces() -> Iterator[str]:
    for folder in _CONF.iterdir():
        if folder.name not in _OTHERS and not folder.name.startswith(INTERFACES):
            yield folder.name


def _read(note: Path) -> set[str]:
    with suppress(FileNotFoundError):
        return set(note.read_text().split("\n")) - {""}
    return set()


def _forwards(name: str) -> bool:
    with suppress(OSError):  # the interface was removed meanwhile
        return (_CONF / name / "forwarding").read_text().strip() == "1"
    return True


def _write(name: str, value: str) -> None:
    with suppress(FileNotFoundError):
        (_CONF / name / "forwarding").write_text(value)
