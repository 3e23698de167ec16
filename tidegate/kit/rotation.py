# SPDX-License-Identifier: Apache-2.0
"""Keeps logs within their bounds while processes write to them.

In: a log, the bytes that it may have, and how many old ones are kept as NAME.1 (the newest), NAME.2, ... Called
by: `housekeeping.py`, for the output of this process and of Envoy.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from tidegate.kit.files import open_log

_OUTPUTS = (1, 2)


def rotate_own(log: Path, most_bytes: int, keep: int) -> None:
    """If this process's output goes to that log and it is too long, begin a new one. All code that writes to the
    descriptors then writes to the new one."""
    found = _stat(log)
    ours = [number for number in _OUTPUTS if found is not None and os.path.samestat(os.fstat(number), found)]
    if not ours or found is None or found.st_size <= most_bytes:
        return
    _shift(log, keep)
    log.replace(_old(log, 1))
    with open_log(log) as fresh:
        for number in ours:
            os.dup2(fresh.fileno(), number)


def rotate_by_copy(log: Path, most_bytes: int, keep: int) -> None:
    """The same for the log of a process that cannot reopen it and appends to it. Lines written meanwhile may be lost;
    the old log is lost if there is no room for a copy."""
    found = _stat(log)
    if found is None or found.st_size <= most_bytes:
        return
    _shift(log, keep)
    try:
        shutil.copyfile(log, _old(log, 1))
        _old(log, 1).chmod(0o600)
    except OSError:
        _old(log, 1).unlink(missing_ok=True)
    os.truncate(log, 0)


def _shift(log: Path, keep: int) -> None:
    for number in range(keep - 1, 0, -1):
        with suppress(FileNotFoundError):
            _old(log, number).replace(_old(log, number + 1))


def _old(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")


def _stat(log: Path) -> os.stat_result | None:
    try:
        return log.stat()
    except FileNotFoundError:
        return None
