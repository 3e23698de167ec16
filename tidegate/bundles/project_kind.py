# SPDX-License-Identifier: Apache-2.0
"""A kind of project, as one Protocol: `python`, `nodejs`, `golang` and `static` implement it.

In: the source. Out: the installation into a bundle, and the start command if there is no Procfile.
Called by `app`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tidegate.bundles.tools import BuildFolder

Command = tuple[str, ...]


class ProjectError(Exception):
    """The app cannot be built or started as it is; one sentence that says what to change."""


class ProjectKind(Protocol):
    """One kind of project that a source is; a source may be several."""

    @property
    def kind(self) -> str:
        """Its name, for messages."""

    @property
    def paths(self) -> Sequence[str]:
        """Folders of the bundle where its programs are."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Environment variables of the app; others of the same name win."""

    @property
    def starts(self) -> bool:
        """Whether `command` will find a start command."""

    @property
    def hint(self) -> str:
        """How to add a start command, if there is none."""

    def missing(self) -> str:
        """A sentence that names the tool that it needs and this host lacks; "" if it lacks none."""

    def notes(self) -> Sequence[str]:
        """Facts for the user, e.g. unused files."""

    def install(self, build_folder: BuildFolder) -> None:
        """Raises `ToolError` and `ProjectError`."""

    def command(self, build_folder: BuildFolder) -> Command:
        """The start command, after the installation. Raises `ProjectError`."""

    def translated(self, web: Command) -> Command:
        """The command for a Procfile's line, without a program in between that is not needed."""
