# SPDX-License-Identifier: Apache-2.0
"""The paths of the host that the annotation `tidegate.dev/sandbox-paths` shows to a sandboxed app.

In: text such as `/srv/models, /srv/data:rw`. Out: `HostPath` records; `ValueError` with the reason.
"""

from pathlib import PurePosixPath
from typing import NamedTuple

_MOST = 64  # mounts that one app may ask for
_NEVER = ("/", "/proc", "/sys", "/dev")


class HostPath(NamedTuple):
    """A path that the app sees at the same place. `writable`: as far as the user of the app may write there."""

    path: str
    writable: bool = False


def parse(text: str) -> list[HostPath]:
    """Raises `ValueError`."""
    found = [_parse(word.strip()) for word in text.split(",") if word.strip()]
    if len(found) > _MOST:
        raise ValueError(f"at most {_MOST} paths")
    return found


def _parse(word: str) -> HostPath:
    path, _, mode = word.partition(":")
    if mode not in ("", "ro", "rw"):
        raise ValueError(f"{word!r}: a path may end in :ro or :rw")
    plain = PurePosixPath(path)
    if not plain.is_absolute() or ".." in plain.parts or "\0" in path:
        raise ValueError(f"{path!r} is not an absolute path without '..'")
    if str(plain) in _NEVER or plain.parts[:2] in (("/", "proc"), ("/", "sys")):
        raise ValueError(f"{path} is never shown; the annotation tidegate.dev/sandbox: none switches the sandbox off")
    return HostPath(str(plain), mode == "rw")
