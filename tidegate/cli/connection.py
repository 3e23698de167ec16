# SPDX-License-Identifier: Apache-2.0
"""The connection from a command to the API of its Tidegate, which it finds by the state folder."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tidegate.cli import failures
from tidegate.kit import trust
from tidegate.settings import Settings, default_home

if TYPE_CHECKING:
    from tidegate.client.http import HttpCluster

T = TypeVar("T")


def home(data_dir: Path | None) -> Path:
    """The state folder of a command. Raises `CommandFailure` if it is a file, or if another user could have written its
    files."""
    folder = (data_dir or default_home()).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise failures.CommandFailure(f"the state folder {folder} is a file: name a folder with --data-dir")
    try:
        trust.require(folder, Settings(folder).trusted)
    except trust.Untrusted as error:
        raise failures.CommandFailure(str(error)) from error
    return folder


def not_running(folder: Path) -> failures.CommandFailure:
    from tidegate import home

    settings = Settings(folder)
    running, keeper, reason = home.holder(settings), home.keeper_of(settings), home.keeper_failure(settings)
    if running is not None:
        text = f"Tidegate in {folder} does not answer (process {running.pid}): it may be starting; see {settings.log}"
    elif keeper is not None:
        text = f"Tidegate in {folder} has exited and is being restarted (process {keeper.pid}): see {settings.log}"
    elif reason:
        text = f"Tidegate is not running in {folder}: {reason}; see {settings.log}, and start it with `tidegate up`"
    else:
        text = f"Tidegate is not running in {folder}: start it with `tidegate up`"
    return failures.CommandFailure(text)


def warn(message: str) -> None:
    """Print a warning of the API."""
    failures.remark(f"Warning: {message}")


@asynccontextmanager
async def connected(
    data_dir: Path | None, *, strict: bool = False, warn: Callable[[str], None] | None = warn
) -> AsyncIterator["HttpCluster"]:
    """The API of the Tidegate in a state folder. `strict`: reject unknown fields. `warn`: None if the command itself
    makes the objects, so that the user could not act on a warning."""
    from tidegate.client.http import HttpCluster, ResponseTimeout, Unreachable

    folder = home(data_dir)
    kubeconfig = Settings(folder).kubeconfig
    if not kubeconfig.exists():
        raise not_running(folder)
    try:
        async with HttpCluster.from_kubeconfig(kubeconfig, warn=warn, strict=strict) as cluster:
            yield cluster
    except Unreachable as error:
        raise not_running(folder) from error
    except ResponseTimeout as error:
        text = f"Tidegate in {folder} does not answer: see its tidegate.log, or stop it with `tidegate down`"
        raise failures.CommandFailure(text) from error


def run(command: Coroutine[None, None, T]) -> T:
    """Run the asynchronous part of a command."""
    try:
        import asyncio

        return asyncio.run(command)
    finally:
        command.close()  # if Ctrl-C arrived before it started
