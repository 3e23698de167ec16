# SPDX-License-Identifier: Apache-2.0
"""The state folder: its permissions, its lock, and the check that its database was not lost.

In: the settings. Out: a lock for the life of a control plane, or a `HomeError` with one line for the user. Called by:
`embedded.py`, before it opens anything else; the command line, to find the running process.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tidegate.kit import addresses, keeper, lock, trust
from tidegate.kit.processes import Process
from tidegate.settings import Settings

_ASIDE = ".old"


class HomeError(Exception):
    """This process cannot use the state folder. The message is one line."""


class Unusable(HomeError):
    """The state folder needs a repair: a later start fails the same way."""


def prepare(settings: Settings) -> None:
    """Create the folders, private to their owner. If apps have users of their own, these may pass through to their
    bundles and their own folders, but list none. Raises `HomeError`, and `Untrusted` if others may write."""
    passed = (settings.home, settings.instances, settings.bundles) if os.geteuid() == 0 else ()
    for folder in (
        settings.home,
        settings.sockets,
        settings.gateway,
        settings.instances,
        settings.bundles,
        settings.pki,
    ):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        trust.require(folder, settings.trusted if folder == settings.home else ())
        folder.chmod(0o711 if folder in passed else 0o700)
    for place in settings.home.iterdir():
        if place not in (settings.instances, settings.bundles) and not place.is_symlink():
            place.chmod(place.stat().st_mode & 0o700)
    for path in (settings.xds_socket, settings.gate_socket, *settings.admin_sockets):
        if len(os.fsencode(path)) > addresses.LONGEST_SOCKET_PATH:
            raise HomeError(f"the state folder {settings.home} has too long a path for its sockets")


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Hold the lock of the state folder. Raises `HomeError` if another control plane holds it."""
    try:
        with lock.held(settings.lock):
            yield
    except lock.Held as held:
        raise HomeError(already_runs(settings, held.process)) from held


def already_runs(settings: Settings, process: Process | None) -> str:
    return f"Tidegate already runs in {settings.home}{f' (process {process.pid})' if process is not None else ''}"


def holder(settings: Settings) -> Process | None:
    """The control plane of this folder, running or starting; None if there is none."""
    return lock.holder(settings.lock)


def keeper_of(settings: Settings) -> Process | None:
    """The process that restarts the control plane after a crash; None if there is none."""
    return lock.holder(settings.sockets / keeper.LOCK)


def keeper_failure(settings: Settings) -> str:
    """The error for which the keeper gave up; "" if it did not."""
    with suppress(OSError):
        return (settings.sockets / keeper.ENDED).read_text(errors="replace")
    return ""


def require_objects(settings: Settings) -> None:
    """Raise `Unusable` if the state database is missing or empty although a control plane ran here before: a start
    without objects would end every app."""
    with suppress(FileNotFoundError):
        if settings.database.stat().st_size:
            return
    traces = [place.name for place in (settings.pki, settings.node, settings.choices) if _is_trace(place)]
    if traces:
        state = "is empty" if settings.database.exists() else "is missing"
        raise Unusable(
            f"the state database {settings.database} {state}, but {', '.join(traces)} show that objects existed: "
            "restore it, or start without it by `tidegate up --reset`"
        )


def _is_trace(place: Path) -> bool:
    return any(place.iterdir()) if place.is_dir() else place.exists()


def reset(settings: Settings) -> Path | None:
    """Rename the state database and create an empty one. Returns the path of the old one, None if it was empty or
    missing. Raises `HomeError` while a control plane runs."""
    from tidegate.store.database import Database  # which the command line needs for nothing else

    settings.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
    with held(settings):
        aside = settings.database.with_name(settings.database.name + _ASIDE)
        found = settings.database.exists() and settings.database.stat().st_size > 0
        for end in ("", "-wal"):
            with suppress(FileNotFoundError):
                Path(f"{settings.database}{end}").replace(f"{aside}{end}")
        Database(settings.database).close()
    return aside if found else None
