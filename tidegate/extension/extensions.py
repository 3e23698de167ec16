# SPDX-License-Identifier: Apache-2.0
"""The installed extensions: found by their entry points, loaded, and run.

In: entry points of the group `tidegate.extensions`. Out: a `Scheme` with their kinds, and their controllers under the
supervisor. An extension that cannot be loaded, or that redefines a kind, adds nothing: the log and `tidegate status`
name its package and the error, and Tidegate starts without it.

Called by: `embedded.py` (`Extensions`), the command line (`installed`).
"""

from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import NamedTuple

from tidegate.client.context import Context
from tidegate.extension import ENTRY_POINTS, Controller, Extension, require_all
from tidegate.kit import packages
from tidegate.kit.supervision import Health, Supervisor
from tidegate.model.groups import BUILT_IN_SCHEME


class InstalledExtension(NamedTuple):
    """An extension, the name of its entry point, and the package that it comes from."""

    name: str
    package: str
    extension: Extension


class ExtensionError(Exception):
    """An extension cannot be used. `name`: of its entry point. The message names its package."""

    def __init__(self, name: str, package: str, reason: str) -> None:
        # A name or an error of foreign code may contain control characters, and ends on a terminal.
        super().__init__(printable(f"package {package}: {reason}"))
        self.name = printable(name)


def printable(text: str) -> str:
    """`text` in one line, with control characters as escapes."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def installed() -> Iterator[InstalledExtension | ExtensionError]:
    """Each installed extension, or the reason why it cannot be loaded."""
    if packages.declares(ENTRY_POINTS):
        yield from map(_loaded, entry_points(group=ENTRY_POINTS))


def _loaded(entry: EntryPoint) -> InstalledExtension | ExtensionError:
    package = entry.dist.name if entry.dist is not None else entry.module
    try:
        loaded = entry.load()
    except (Exception, SystemExit) as error:  # foreign code may raise anything
        return _failure(entry.name, package, error)
    if not isinstance(loaded, Extension):
        return ExtensionError(entry.name, package, f"{entry.value} is not an Extension")
    return InstalledExtension(entry.name, package, loaded)


def _failure(name: str, package: str, error: BaseException) -> ExtensionError:
    failure = ExtensionError(name, package, f"{type(error).__name__}: {error}")
    failure.__cause__ = error  # for the log
    return failure


class Extensions:
    """The extensions of one Tidegate, and the scheme of the built-in kinds and theirs."""

    def __init__(self, found: Iterable[InstalledExtension | ExtensionError]) -> None:
        self.scheme = BUILT_IN_SCHEME
        self._errors: list[ExtensionError] = []
        self._extensions: list[InstalledExtension] = []
        for each in found:
            if isinstance(each, ExtensionError):
                self._errors.append(each)
            else:
                self._add(each)

    def _add(self, found: InstalledExtension) -> None:
        try:
            extended = self.scheme.extended(found.extension.resources)
            for resource in found.extension.resources:
                resource.openapi()
        except (Exception, SystemExit) as error:  # e.g. a kind that is served already
            self._errors.append(_failure(found.name, found.package, error))
        else:
            self.scheme = extended
            self._extensions.append(found)

    def start(self, supervisor: Supervisor, context_of: Callable[[str], Context]) -> None:
        """Run every controller. `context_of` returns the context of an extension, which acts in its own name."""
        for name, package, extension in self._extensions:
            try:
                controllers = list(extension.controllers(context_of(name)))
                require_all("controllers", controllers, Controller)
            except (Exception, SystemExit) as error:  # foreign code may raise anything
                self._errors.append(_failure(name, package, error))
            else:
                for controller in controllers:
                    supervisor.keep(printable(f"{name} {controller.name}"), controller.run)
        for failure in self._errors:
            supervisor.watch(Health(f"extension {failure.name}")).failed(failure)
