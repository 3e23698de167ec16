# SPDX-License-Identifier: Apache-2.0
"""Runs another program in a container, by the OCI runtime: for exec probes, and for sessions (`kubectl exec`).

In: a running container, a program, its files. Out: its exit code, as a shell has it. The program has the user, the
rights, the environment and the working directory of the container's own, as its config.json says. Called by:
`running.py`, `runtime.py`.

The OCI runtime copies between a terminal of the container and ours, so it has ours as its controlling terminal: the
launcher starts it. It is killed when the control plane dies. A program that is cancelled ends with all that it has
started: the processes with the mark of the session. `end_sessions` ends by their mark the
programs of a control plane that was killed.
"""

import asyncio
import os
import secrets
import signal
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tidegate.kit.files import write_whole
from tidegate.kit.processes import USUAL_PATH, Process
from tidegate.node.runtime import Stdio
from tidegate.node.runtimes.oci.conmon import runtime_arguments
from tidegate.node.runtimes.oci.failures import message_of
from tidegate.node.runtimes.oci.folders import ContainerFolder
from tidegate.node.runtimes.oci.host import OciHost
from tidegate.node.runtimes.process import launcher, sweep
from tidegate.node.runtimes.process.confinement import Confinement
from tidegate.node.runtimes.process.launcher import LaunchError, Orders

_CANNOT_EXECUTE, _NOT_FOUND = 126, 127
_MISSING = ("executable file not found", "no such file or directory")
_MOST_BYTES = 64 * 1024
_ROUNDS, _ROUND_SECONDS = 50, 0.001  # of killing; one is usual
_AS_WE_ARE = Confinement(gains=True)  # the OCI runtime sets user and rights


async def execute(host: OciHost, folder: ContainerFolder, program: Sequence[str], stdio: Stdio | None = None) -> int:
    """Cancelling kills the program and all that it has started."""
    if stdio is not None:
        return await _execute(host, folder, program, stdio)
    with Path(os.devnull).open("r+b") as nowhere:  # noqa: ASYNC230 - no file
        file = nowhere.fileno()
        return await _execute(host, folder, program, Stdio(file, file, file))


async def _execute(host: OciHost, folder: ContainerFolder, program: Sequence[str], stdio: Stdio) -> int:
    tools = folder.tools()
    if tools is None:
        return _CANNOT_EXECUTE
    session = secrets.token_hex(8)
    files = folder.path / f"exec-{session}"
    files.mkdir()
    try:
        own = msgspec.json.decode(folder.config.read_bytes())["process"]
        write_whole(files / "process.json", msgspec.json.encode(_process(own, program, session, stdio)))
        arguments = runtime_arguments(host.folders.state, files / "log")
        call = ["exec", "--process", str(files / "process.json"), "--pid-file", str(files / "pid"), folder.id]
        code = await _run([tools.runtime, *arguments, *call], host, folder, session, stdio)
        return _cause(files / "log", code) or code
    finally:
        for file in files.iterdir():
            file.unlink()
        files.rmdir()


def _process(own: Mapping[str, Any], program: Sequence[str], session: str, stdio: Stdio) -> Mapping[str, Any]:
    """The container's own process with another program."""
    terminal = ["TERM=xterm"] if stdio.terminal and not any(text.startswith("TERM=") for text in own["env"]) else []
    variables = [*own["env"], *terminal, f"{sweep.SESSION}={session}"]
    changed = {**own, "args": list(program), "env": variables, "terminal": stdio.terminal}
    if stdio.terminal:
        rows, columns = termios.tcgetwinsize(stdio.stdin)
        changed["consoleSize"] = {"height": rows, "width": columns}
    return changed


async def _run(
    arguments: Sequence[str | Path], host: OciHost, folder: ContainerFolder, session: str, stdio: Stdio
) -> int:
    """Run the OCI runtime to its end. Its exit code is the program's."""
    orders = Orders(
        list(map(str, arguments)),
        {"PATH": USUAL_PATH},
        Path("/"),
        _AS_WE_ARE,
        attended=True,
        has_terminal=stdio.terminal,
    )
    waiting = launcher.start_waiting(stdio.stdout, {}, errors=stdio.stderr, stdin=stdio.stdin)
    try:
        await waiting.execute(orders)
    except LaunchError:
        return _CANNOT_EXECUTE
    child, has_ended = waiting.child, False
    process = Process.of(child.pid)
    try:
        if process is not None:
            await process.ended()
        has_ended = True
    finally:
        if not has_ended:
            _kill_children(child.pid)
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        code = child.wait()
        if not has_ended:
            await asyncio.shield(asyncio.create_task(end_sessions(host, folder, session), name="end of a session"))
    return code if code >= 0 else 128 - code


def _kill_children(runtime: int) -> None:
    """Kill the program with its session. It is a child of the runtime, also while the runtime still prepares it; the
    runtime is stopped first, so that it starts no other."""
    os.kill(runtime, signal.SIGSTOP)
    for _ in range(_ROUNDS):
        children = _children(runtime)
        if not children:
            return
        for pid in children:
            for kill in (os.killpg, os.kill):
                with suppress(ProcessLookupError):
                    kill(pid, signal.SIGKILL)
        time.sleep(_ROUND_SECONDS)


def _children(parent: int) -> list[int]:
    """The children that have not ended."""
    found: list[int] = []
    for thread in Path(f"/proc/{parent}/task").iterdir():
        with suppress(OSError):
            found += map(int, (thread / "children").read_text().split())
    return [pid for pid in found if Process.of(pid) is not None]


async def end_sessions(host: OciHost, folder: ContainerFolder, session: str = "") -> None:
    """Kill the processes that a session ("": any) has started in a container."""
    delay = 0.002
    while found := _started(host, folder, session):
        for process in found:
            process.signal(signal.SIGKILL)
        await asyncio.sleep(delay)
        delay = min(2 * delay, 1.0)


def _started(host: OciHost, folder: ContainerFolder, session: str) -> list[Process]:
    marks = {pid: sweep.session_of(pid) for pid in host.groups.processes(folder.id)}
    pids = [pid for pid, mark in marks.items() if mark and session in ("", mark)]
    return [process for pid in pids if (process := Process.of(pid)) is not None]


def _cause(log: Path, code: int) -> int:
    """126 or 127 if the runtime could not start the program."""
    if code == 0 or not log.exists() or not (message := message_of(log.read_bytes()[-_MOST_BYTES:])):
        return 0
    return _NOT_FOUND if any(words in message for words in _MISSING) else _CANNOT_EXECUTE
