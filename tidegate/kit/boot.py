# SPDX-License-Identifier: Apache-2.0
"""The boot of this host: what was recorded about processes, mounts and namespaces counts until the next one."""

from functools import cache
from pathlib import Path

_BOOT = Path("/proc/sys/kernel/random/boot_id")


@cache
def boot() -> str:
    """The number of this boot."""
    return _BOOT.read_text().strip()
