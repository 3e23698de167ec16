# SPDX-License-Identifier: Apache-2.0
"""Runs skopeo, which copies images between registries, archives and the store.

In: the arguments of one run, and a work folder with its temporary files. Out: what it printed, or `SkopeoError` with
its last message, e.g. the registry's answer. Called by: every module here that reads or changes an image.

skopeo checks the digest of everything it downloads, unpacks layers inside a chroot of the layer's folder, and marks a
layer that is not complete, so that the next run removes it.
"""

import asyncio
import json
import os
import re
import shutil
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tidegate.images.errors import ImageError
from tidegate.images.work_folder import WorkFolder
from tidegate.kit.processes import path_for_others

PROGRAM = "skopeo"

_SECONDS = 60.0  # for a run that copies nothing
_MOST = 8 * 1024 * 1024  # bytes of output; a manifest has at most 4 MiB
_LINES = 20
_LINE = 4096
_LONGEST = 2000  # characters of a message, which becomes a condition
_PASSED_ON = frozenset(
    (
        *("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DOCKER_CONFIG", "SSL_CERT_FILE", "SSL_CERT_DIR"),
        *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"),
    )
)
_STORAGE = '[storage]\ndriver = "overlay"\n'  # none of the host's options, e.g. a mount program
_POLICIES = (Path("/etc/containers/policy.json"),)
_IN_SPEC = re.compile(r"[\[\]+@:,]")  # characters with a meaning in the text that names a store
_MESSAGE = re.compile(r'level=fatal msg=("(?:[^"\\]|\\.)*"|\S+)')
_ABOUT = re.compile(
    r'^(?:Error (?:parsing image name|determining manifest)[^:]*(?:"[^"]*")?: |initializing source \S+: )+'
)
_TWICE = re.compile(r"(: [^:]+)\1$")  # a registry's error code and its text, which are often the same
_QUERY = re.compile(r"(https?://[^\s\"?]+)\?[^\s\"]+")


class SkopeoError(ImageError):
    """skopeo failed; the message is its own."""


class SkopeoTimeout(SkopeoError):
    """skopeo did not end in time."""


class Skopeo:
    """skopeo with the store in a folder of images."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def stored(self, name: str) -> str:
        """The store, as skopeo names it, with an image."""
        if _IN_SPEC.search(str(self._folder)):
            raise ImageError(f"images cannot be kept in {self._folder}: its path has one of the characters []+@:,")
        # Without `skip_mount_home` it would mount the folder on itself and leave it so.
        store = f"{self._folder}/store+{self._folder}/run:overlay.skip_mount_home=true"
        return f"containers-storage:[overlay@{store}]{name}"

    def by_id(self, image_id: str) -> str:
        """The store with an image of this id, which may have no name."""
        return self.stored(f"@{image_id}")

    async def run(self, work: WorkFolder, *arguments: str, seconds: float = _SECONDS) -> bytes:
        """Run to the end; returns the output. Raises `SkopeoError`."""
        try:
            async with asyncio.timeout(seconds):
                return await (await self.start(work, *arguments)).output()
        except TimeoutError as error:
            raise SkopeoTimeout(f"{PROGRAM} {arguments[0]} did not end within {seconds:g} s") from error

    async def start(self, work: WorkFolder, *arguments: str) -> "SkopeoRun":
        """Start it. To be followed by `SkopeoRun.output` at once."""
        program = shutil.which(PROGRAM, path=path_for_others())
        if program is None:
            raise SkopeoError(f"{PROGRAM} is not installed: `tidegate doctor` says how to install it")
        options = ["--registries-conf", str(work.registries), "--tmpdir", str(work.temporary)]
        if not any(policy.exists() for policy in (*_POLICIES, Path.home() / ".config/containers/policy.json")):
            options.append("--insecure-policy")
        storage = work.path / "storage.conf"
        storage.write_text(_STORAGE)
        child = await asyncio.create_subprocess_exec(
            program,
            *options,
            *arguments,
            env={**_environment(), "CONTAINERS_STORAGE_CONF": str(storage), "TMPDIR": str(work.temporary)},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=_LINE,
            start_new_session=True,  # one group, to end it with the programs that unpack
        )
        work.note_tool(child.pid)
        return SkopeoRun(child)


class SkopeoRun:
    """A skopeo that runs."""

    def __init__(self, child: asyncio.subprocess.Process) -> None:
        if child.stdout is None or child.stderr is None:
            raise ValueError("a run needs pipes for stdout and stderr")
        self._child, self._stdout, self._stderr = child, child.stdout, child.stderr
        self.pid = child.pid

    async def output(self) -> bytes:
        """Wait for its end; a caller that is cancelled ends it. Raises `SkopeoError`."""
        try:
            output, messages = await asyncio.gather(_bounded(self._stdout), _last_lines(self._stderr))
            code = await self._child.wait()
        finally:
            if self._child.returncode is None:
                end_group(self._child.pid)
                await self._child.wait()
        if code:
            raise SkopeoError(_said(messages) or f"{PROGRAM} failed with exit code {code}")
        return output


def end_group(pid: int) -> None:
    """Kill a skopeo that leads its group, and the programs that it started."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _environment() -> Mapping[str, str]:
    passed = {name: value for name, value in os.environ.items() if name.upper() in _PASSED_ON}
    return {**passed, "PATH": path_for_others()}


async def _bounded(stream: asyncio.StreamReader) -> bytes:
    pieces = bytearray()
    while piece := await stream.read(65536):
        pieces += piece
        if len(pieces) > _MOST:
            raise SkopeoError(f"{PROGRAM} printed more than {_MOST} bytes")
    return bytes(pieces)


async def _last_lines(stream: asyncio.StreamReader) -> list[str]:
    lines: deque[str] = deque(maxlen=_LINES)
    while piece := await stream.read(_LINE):
        lines.extend(piece.decode(errors="replace").splitlines())
    return list(lines)


def _said(lines: Sequence[str]) -> str:
    """The last error, without prefixes that only repeat the image's name, and without the queries of addresses, which
    may be signed."""
    text = "\n".join(lines)
    found = _MESSAGE.findall(text)
    message = found[-1] if found else text.strip()
    if message.startswith('"'):
        with suppress(ValueError):
            message = json.loads(message)
    return _TWICE.sub(r"\1", _QUERY.sub(r"\1?...", _ABOUT.sub("", message)))[:_LONGEST]
