# SPDX-License-Identifier: Apache-2.0
"""The state folder as a whole: held by one control plane at a time, and not begun anew by mistake.

In: the settings. Out: a lock for the life of a control plane, or a `HomeError` with one line for the user. Who:
`embedded.py` before it touches anything else; the command line to find out who runs.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tidegate.kit import keeper, lock, trust
from tidegate.kit.processes import Process
from tidegate.settings import Settings

_ASIDE = ".old"
_LONGEST_SOCKET_PATH = 107  # bytes of a Unix socket's address


class HomeError(Exception):
    """The state folder cannot be used by this process; the message is one line."""


class Unusable(HomeError):
    """What is in it cannot be used, and will not be by itself."""


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
        if len(os.fsencode(path)) > _LONGEST_SOCKET_PATH:
            raise HomeError(f"the state folder {settings.home} has too long a path for its sockets")


@contextmanager
def held(settings: Settings) -> Iterator[None]:
    """Be the only control plane of this folder. Raises `HomeError` where there is another."""
    try:
        with lock.held(settings.lock):
            yield
    except lock.Held as held:
        raise HomeError(already_runs(settings, held.process)) from held


def already_runs(settings: Settings, process: Process | None) -> str:
    return f"Tidegate already runs in {settings.home}{f' (process {process.pid})' if process is not None else ''}"


def holder(settings: Settings) -> Process | None:
    """The control plane that runs in this folder, also one that is only starting."""
    return lock.holder(settings.lock)


def keeper_of(settings: Settings) -> Process | None:
    """The process that starts the control plane again when it crashes."""
    return lock.holder(settings.sockets / keeper.LOCK)


def keeper_failure(settings: Settings) -> str:
    """Why the keeper gave up; "" where it did not."""
    with suppress(OSError):
        return (settings.sockets / keeper.ENDED).read_text(errors="replace")
    return ""


def require_objects(settings: Settings) -> None:
    """Raise `Unusable` where the state database has vanished or is empty though a control plane ran here before: to
    begin with no objects at all would end every app."""
    with suppress(FileNotFoundError):
        if settings.database.stat().st_size:
            return
    traces = [place.name for place in (settings.pki, settings.node, settings.choices) if _is_trace(place)]
    if traces:
        state = "is empty" if settings.database.exists() else "is gone"
        raise Unusable(
            f"the state database {settings.database} {state}, but {', '.join(traces)} show that there were objects: "
            "restore it, or start without it by `tidegate up --reset`"
        )


def _is_trace(place: Path) -> bool:
    return any(place.iterdir()) if place.is_dir() else place.exists()


def reset(settings: Settings) -> Path | None:
    """Set the state database aside and begin with an empty one; where the old one is, if there was one with anything
    in it. Raises `HomeError` while a control plane runs."""
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
