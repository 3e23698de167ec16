# SPDX-License-Identifier: Apache-2.0
"""The Procfile: which programs an app has.

In: its text. Out: the lines, by their type. Raises `ProcfileError`, which names the line. Rule: devcenter.heroku.com,
"The Procfile"; `wsgi` and `static` are those of piku.

| type | what becomes of it |
| --- | --- |
| `web` | answers requests |
| `wsgi: module:app` | else, a Python app that gunicorn serves |
| `static: folder` | else, a folder of files |
| `release` | runs at each deploy, before the new revision is made |
| any other | not run, which is said |
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from tidegate.bundles.commands import CommandError, command

_LINE = re.compile(r"([A-Za-z0-9_-]+):\s*(\S.*)")
_STARTS = ("web", "wsgi", "static")
_RELEASE = "release"


class ProcfileError(Exception):
    """The Procfile cannot be read as one."""


class Procfile(NamedTuple):
    """The lines of a Procfile by their type; of `web` and `release`, the words to run."""

    lines: Mapping[str, str]
    web: tuple[str, ...] = ()
    release: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> "Procfile":
        lines: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            found = _LINE.fullmatch(line.strip())
            if found is None:
                raise ProcfileError(f"line {number} of the Procfile cannot be read: it is no TYPE: COMMAND")
            if found[1] in lines:
                raise ProcfileError(f"the Procfile has two lines {found[1]}:")
            lines[found[1]] = found[2]
        return cls(lines, _command(lines, "web"), _command(lines, _RELEASE))

    @property
    def wsgi(self) -> str:
        return "" if self.web else self.lines.get("wsgi", "")

    @property
    def static(self) -> str:
        return "" if self.web or self.wsgi else self.lines.get("static", "")

    def not_run(self) -> list[str]:
        """The types that are not run."""
        starts = next((each for each in _STARTS if each in self.lines), "")
        return [each for each in self.lines if each not in (starts, _RELEASE)]


def _command(lines: Mapping[str, str], kind: str) -> tuple[str, ...]:
    if kind not in lines:
        return ()
    try:
        return command(lines[kind])
    except CommandError as error:
        raise ProcfileError(f"the Procfile's line {kind}: cannot be read: {error}") from error
