# SPDX-License-Identifier: Apache-2.0
"""Makes a container through conmon, a small process that waits for the container's end and writes down its exit code.

conmon outlives the control plane, and so does the exit code: the kernel reports it to the parent process only. The
container writes to its log file itself (`passthrough`).

In: a container's folder with its config.json, and its log. Out: its first process, which waits for its start, and
conmon's; or `RuntimeFailure` with the runtime's message. Called by: `creation.py`.
"""

import asyncio
import os
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tidegate.kit.processes import USUAL_PATH, Process
from tidegate.node.runtimes.oci.failures import RuntimeFailure, message_of
from tidegate.node.runtimes.oci.folders import ContainerFolder
from tidegate.node.runtimes.oci.tools import Tools

_SECONDS = 60.0  # for a create; a busy host takes one
_MOST_BYTES = 64 * 1024


class _Created(msgspec.Struct):
    """What conmon reports: the process, or -1."""

    data: int
    message: str = ""


def runtime_arguments(state: Path, log: Path) -> Sequence[str]:
    """The arguments that every call of the runtime has."""
    return ["--root", str(state), "--log", str(log), "--log-format", "json"]


async def create(tools: Tools, state: Path, folder: ContainerFolder, output: int) -> tuple[Process, Process]:
    """The container's first process, and conmon. `output`: the open log. Cancelled, it returns only after conmon has
    reported, so that all that it made can be removed. Raises `RuntimeFailure`."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            child = _spawn(tools, state, folder, output, writing)
        finally:
            os.close(writing)
        report = asyncio.create_task(_read(reading), name=f"conmon of {folder.id}")
        try:
            answer = await asyncio.shield(report)
        except asyncio.CancelledError:
            await asyncio.wait([report])
            raise
        finally:
            child.wait()  # it has forked and ended long ago
    finally:
        os.close(reading)
    return _processes(folder, answer)


def _spawn(tools: Tools, state: Path, folder: ContainerFolder, output: int, report: int) -> "subprocess.Popen[bytes]":
    path = folder.path
    arguments = [
        *(tools.monitor, "--api-version", "1", "--cid", folder.id, "--cuuid", folder.id, "--name", folder.id),
        *("--runtime", tools.runtime, "--bundle", str(path)),
        *("--container-pidfile", str(path / "pid"), "--conmon-pidfile", str(path / "conmon.pid")),
        *("--exit-dir", str(folder.exits), "--log-path", "passthrough", "--no-sync-log", "--full-attach"),
    ]
    for argument in runtime_arguments(state, path / "runtime.log"):
        arguments += ["--runtime-arg", argument]
    return subprocess.Popen(  # noqa: S603 - a program that we found, without a shell
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        env={"PATH": USUAL_PATH, "_OCI_SYNCPIPE": str(report)},
        pass_fds=(report,),
        start_new_session=True,
        umask=0o022,  # ours would hide the container's control groups from its own user
        cwd=path,  # it writes a file there when the container runs out of memory
    )


async def _read(handle: int) -> bytes:
    """All that conmon writes until it has reported, at most for the time of a create."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    answer = b""
    loop.add_reader(handle, readable.set)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                while len(answer) < _MOST_BYTES and not answer.endswith(b"\n"):
                    await readable.wait()
                    readable.clear()
                    if not (chunk := os.read(handle, _MOST_BYTES)):
                        break
                    answer += chunk
    finally:
        loop.remove_reader(handle)
    return answer


def _processes(folder: ContainerFolder, answer: bytes) -> tuple[Process, Process]:
    try:
        created = msgspec.json.decode(answer, type=_Created)
    except msgspec.DecodeError:
        created = _Created(-1)
    init = Process.of(created.data) if created.data > 0 else None
    monitor = Process.of(_number(folder.path / "conmon.pid"))
    if init is None or monitor is None:
        raise RuntimeFailure(_logged(folder) or created.message or "the runtime made no container and said nothing")
    return init, monitor


def _logged(folder: ContainerFolder) -> str:
    try:
        with (folder.path / "runtime.log").open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _MOST_BYTES))
            return message_of(log.read(_MOST_BYTES))
    except FileNotFoundError:
        return ""


def _number(file: Path) -> int:
    with suppress(OSError, ValueError):
        return int(file.read_text())
    return 0
