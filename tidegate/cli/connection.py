# SPDX-License-Identifier: Apache-2.0
"""What commands share: the way to the API of the Tidegate that they are for."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from tidegate.cli import problems
from tidegate.kit import trust
from tidegate.settings import Settings, default_home

if TYPE_CHECKING:
    from tidegate.client.http import HttpCluster

T = TypeVar("T")


def home(data_dir: Path | None) -> Path:
    """The state folder of a command. Raises `Problem` where it is a file, or another user could have written what is in
    it."""
    folder = (data_dir or default_home()).expanduser().absolute()
    if folder.exists() and not folder.is_dir():
        raise problems.Problem(f"the state folder {folder} is a file: name a folder with --data-dir")
    try:
        trust.require(folder, Settings(folder).trusted)
    except trust.Untrusted as error:
        raise problems.Problem(str(error)) from error
    return folder


def not_running(folder: Path) -> problems.Problem:
    from tidegate import home

    settings = Settings(folder)
    running, keeper, words = home.holder(settings), home.keeper_of(settings), home.last_words(settings)
    if running is not None:
        told = f"Tidegate in {folder} does not answer (process {running.pid}): it may be starting; see {settings.log}"
    elif keeper is not None:
        told = f"Tidegate in {folder} has ended and is started again (process {keeper.pid}): see {settings.log}"
    elif words:
        told = f"Tidegate is not running in {folder}: {words}; see {settings.log}, and start it with `tidegate up`"
    else:
        told = f"Tidegate is not running in {folder}: start it with `tidegate up`"
    return problems.Problem(told)


def warn(message: str) -> None:
    """Print what the API warns of."""
    problems.remark(f"Warning: {message}")


@asynccontextmanager
async def connected(
    data_dir: Path | None, *, strict: bool = False, warn: Callable[[str], None] | None = warn
) -> AsyncIterator["HttpCluster"]:
    """The API of the Tidegate in a state folder. `strict`: unknown fields are refused. `warn`: None where the objects
    are of our own making, so that nobody could heed a warning."""
    from tidegate.client.http import HttpCluster, Silent, Unreachable

    folder = home(data_dir)
    kubeconfig = Settings(folder).kubeconfig
    if not kubeconfig.exists():
        raise not_running(folder)
    try:
        async with HttpCluster.from_kubeconfig(kubeconfig, warn=warn, strict=strict) as cluster:
            yield cluster
    except Unreachable as error:
        raise not_running(folder) from error
    except Silent as error:
        told = f"Tidegate in {folder} does not answer: see its tidegate.log, or end it with `tidegate down`"
        raise problems.Problem(told) from error


def run(command: Coroutine[None, None, T]) -> T:
    """Run a command's asynchronous part to its end."""
    try:
        import asyncio

        return asyncio.run(command)
    finally:
        command.close()  # where Ctrl-C comes before it began
