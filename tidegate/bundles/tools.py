# SPDX-License-Identifier: Apache-2.0
"""The tools that make a bundle from source: found on this host, and run as the user who builds.

In: what to run. Out: nothing, or `ToolError` with their first and last lines. They run in the bundle's folder, with an
environment of their own: of ours they get what says who and where the user is, proxies and the clients' own settings
(npm_config_*, UV_*, GO*, ...), so that no secret of the user's shell reaches an install script, and the same source is
built the same way from every terminal.
"""

import itertools
import os
import shutil
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Timer

import psutil

from tidegate.kit.processes import path_for_others

ReportText = Callable[[str], None]

_SECONDS = 1800
_FIRST_LINES, _LAST_LINES = 10, 20  # npm prints the error first, most others last
_PASSED_ON = frozenset(
    (
        *("HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SSH_AUTH_SOCK"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("NPM_TOKEN", "NODE_AUTH_TOKEN", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE"),
        *("GOPROXY", "GOPRIVATE", "GONOPROXY", "GOINSECURE", "GOSUMDB", "GONOSUMDB", "GOAUTH"),
        *("GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE", "GOENV", "GOFLAGS", "GOTOOLCHAIN"),
        *("CC", "CXX", "CFLAGS", "CXXFLAGS", "LDFLAGS", "PKG_CONFIG_PATH"),
    )
)
_CLIENTS = ("NPM_CONFIG_", "PNPM_", "YARN_", "COREPACK_", "UV_", "PIP_", "CGO_", "XDG_")


class ToolError(Exception):
    """A tool is missing or has failed. `lines`: the first and the last ones that it wrote."""

    def __init__(self, message: str, lines: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.lines = lines


def environment() -> dict[str, str]:
    """What tools find in their environment."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name.upper() in _PASSED_ON or name.upper().startswith(_CLIENTS)
    }
    return {**passed, "PATH": path_for_others()}


def find(name: str) -> str | None:
    """Where a tool is on this host."""
    return shutil.which(name, path=path_for_others())


@dataclass(frozen=True, slots=True)
class Messages:
    """Where a build reports: `progress` gets each step, `remark` gets facts that the user must know."""

    progress: ReportText
    remark: ReportText = lambda _: None


@dataclass(frozen=True, slots=True)
class BuildFolder:
    """The folder in which a bundle is built; `source` holds the app's files."""

    path: Path
    messages: Messages

    @property
    def source(self) -> Path:
        return self.path / "source"

    def run(self, *arguments: str, label: str, **variables: str) -> None:
        """Run a tool to its end. `label`: what to call it in progress and messages. Raises `ToolError`."""
        self.messages.progress(label)
        run(arguments, self.source, {**environment(), **variables}, label)


def run(
    arguments: Sequence[str],
    folder: Path,
    variables: Mapping[str, str],
    name: str,
    on_line: ReportText = lambda _: None,
) -> None:
    """Run a program in `folder` to its end. `name`: what to call it in messages; `on_line` gets each line of its
    output. Raises `ToolError`."""
    try:
        child = subprocess.Popen(  # noqa: S603 - a tool that we name, without a shell
            arguments,
            cwd=folder,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise ToolError(f"{name} cannot be run: {error.strerror}") from error
    timer = Timer(_SECONDS, _kill, (child.pid,))
    first: list[str] = []
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with child:
        timer.start()
        try:
            written = _reported((line.rstrip() for line in child.stdout or () if line.strip()), on_line)
            first.extend(itertools.islice(written, _FIRST_LINES))
            last.extend(written)
            code = child.wait()
        except BaseException:
            _kill(child.pid)
            raise
        finally:
            late = not timer.is_alive()
            timer.cancel()
    if late:
        raise ToolError(f"{name} did not end within {_SECONDS} s", [*first, *last])
    if code:
        raise ToolError(f"{name} failed with exit code {code}", [*first, *last])


def _reported(lines: Iterable[str], on_line: ReportText) -> Iterator[str]:
    for line in lines:
        on_line(line)
        yield line


def _kill(pid: int) -> None:
    """The tool and all that it started."""
    try:
        tool = psutil.Process(pid)
        for each in (*tool.children(recursive=True), tool):
            each.kill()
    except psutil.NoSuchProcess:
        pass
