# SPDX-License-Identifier: Apache-2.0
"""What a kind of project brings to a bundle: one small Protocol; `python`, `nodejs`, `golang` and `static` have it.

In: the source. Out: the installation into a bundle, and the start command if there is no Procfile.
Called by `app`.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tidegate.bundles.tools import Site

Command = tuple[str, ...]


class PartError(Exception):
    """The app cannot be built or started as it is; one sentence that says what to change."""


class Part(Protocol):
    """One kind of project that a source is; a source may be several."""

    @property
    def kind(self) -> str:
        """Its name, for messages."""

    @property
    def paths(self) -> Sequence[str]:
        """Folders of the bundle where its programs are."""

    @property
    def variables(self) -> Mapping[str, str]:
        """Set for the app, unless it is given others."""

    @property
    def starts(self) -> bool:
        """Whether `command` will say how to start it."""

    @property
    def hint(self) -> str:
        """What to add where it does not."""

    def missing(self) -> str:
        """The tool that it takes and that is not on this host, in a sentence; "" where there is none."""

    def notes(self) -> Sequence[str]:
        """Facts for the user, e.g. unused files."""

    def install(self, site: Site) -> None:
        """Raises `ToolError` and `PartError`."""

    def command(self, site: Site) -> Command:
        """How it starts, after it was installed. Raises `PartError`."""

    def translated(self, web: Command) -> Command:
        """What to run for a Procfile's line, where a program in between can be left out."""
