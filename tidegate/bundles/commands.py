# SPDX-License-Identifier: Apache-2.0
"""A line of a Procfile, or a script of package.json, as the command of a container.

In: the line, as a shell would read it. Out: the words to run, in the syntax of a container's command (`$(PORT)`, `$$`).
Raises `CommandError`. Called by `procfile` and `nodejs`.

| the line has | what runs |
| --- | --- |
| words, quotes, `$PORT` | the program itself |
| `NAME=VALUE` in front | `env NAME=VALUE program`, which becomes the program |
| other variables, `${PORT:-80}`, redirections, patterns | `sh -c 'exec ...'`: the shell becomes the program |
| several commands (`&&`, `;`, a pipe, ...) | `sh -c`, which waits; after SIGTERM it starts nothing more |
"""

import re
import shlex

_SHELL = "/bin/sh"
_QUOTED = re.compile(r"'[^']*'|\"(?:\\.|[^\"\\])*\"|\\.", re.DOTALL)
_REDIRECTED = re.compile(r"\d*[<>]+&?\d*|&>")
_SEVERAL = re.compile(r"[|&;()`\n]")
_NEEDS_SHELL = re.compile(r"[<>*?\[~#`]|\$(?!PORT\b|\{PORT\})[\w{($@*#?!-]")
_IN_QUOTES = re.compile(r"`|\$(?!PORT\b|\{PORT\})[\w{($@*#?!-]")
_PORT = re.compile(r"'[^']*'|\\.|\$(?:PORT\b|\{PORT\})", re.DOTALL)
_ASSIGNMENTS = re.compile(r"(?:[A-Za-z_]\w*=\S*\s+)*")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_MARK = "\ufdd0"  # no character of any text: stands for $PORT until the line is cut into words


class CommandError(Exception):
    """The line is none that a shell would read."""


def command(line: str) -> tuple[str, ...]:
    """The words to run for a line, which is not empty."""
    line = line.strip()
    bare = _QUOTED.sub(lambda found: "x" * len(found[0]), line)
    if unclosed := re.search(r"['\"]|\\$", bare):
        raise CommandError(f"the quote {unclosed[0]} is not closed" if unclosed[0] != "\\" else "it ends with \\")
    if _SEVERAL.search(_REDIRECTED.sub("", bare)):
        return _shell(f"trap 'exit 143' TERM\n{line}")
    leading = _ASSIGNMENTS.match(bare)
    at = leading.end() if leading else 0
    assignments, rest = line[:at], line[at:].removeprefix("exec ").strip()
    if not rest or _ASSIGNMENT.match(rest):
        raise CommandError("it names no program")
    if _NEEDS_SHELL.search(bare) or any(_needs_shell(found[0]) for found in _QUOTED.finditer(line)):
        return _shell(f"{assignments}exec {rest}")
    return tuple(_words(f"env {assignments}{rest}" if assignments else rest))


def _shell(text: str) -> tuple[str, ...]:
    return _SHELL, "-c", text.replace("$", "$$")


def _needs_shell(quoted: str) -> bool:
    return quoted.startswith('"') and _IN_QUOTES.search(quoted) is not None


def _words(line: str) -> list[str]:
    marked = _PORT.sub(lambda found: _MARK if found[0].startswith("$") else found[0], line)
    return [word.replace("$", "$$").replace(_MARK, "$(PORT)") for word in shlex.split(marked)]
