# SPDX-License-Identifier: Apache-2.0
"""Runs another program in a container, by the OCI runtime.

In: a running container and a program. Out: its exit code, as a shell has it. The program has the user, the rights, the
environment and the working directory of the container's own, as its config.json says. Called by: `running.py`.

A program with a terminal gets one inside of the container from the runtime, which copies between it and the caller's,
and follows its size.
"""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from tidegate.kit.files import write_whole
from tidegate.kit.processes import Process
from tidegate.node.runtime import Stdio
from tidegate.node.runtimes.oci import programs
from tidegate.node.runtimes.oci.conmon import runtime_arguments
from tidegate.node.runtimes.oci.failures import message_of
from tidegate.node.runtimes.oci.folders import ContainerFolder
from tidegate.node.runtimes.oci.host import OciHost

_CANNOT_EXECUTE, _NOT_FOUND = 126, 127
_MISSING = ("executable file not found", "no such file or directory")
_MOST_BYTES = 64 * 1024
_ROUNDS, _ROUND_SECONDS = 50, 0.001  # of killing; one is usual


async def execute(host: OciHost, folder: ContainerFolder, program: Sequence[str], stdio: Stdio | None = None) -> int:
    """Cancelling kills the program and all that it started in its session."""
    tools = folder.tools()
    if tools is None:
        return _CANNOT_EXECUTE
    files = folder.path / f"exec-{os.urandom(4).hex()}"
    files.mkdir()
    try:
        has_terminal = stdio is not None and stdio.terminal
        process = files / "process.json"
        write_whole(process, msgspec.json.encode(_process(folder, program, has_terminal=has_terminal)))
        arguments = runtime_arguments(host.folders.state, files / "log")
        execution: list[str | Path] = [
            tools.runtime,
            *arguments,
            "exec",
            "--process",
            process,
            "--pid-file",
            files / "pid",
            folder.id,
        ]
        code = await programs.run(
            ["setsid", "--ctty", *execution] if has_terminal else execution,
            seconds=None,
            own_session=not has_terminal,
            files=(subprocess.DEVNULL,) * 3 if stdio is None else (stdio.stdin, stdio.stdout, stdio.stderr),
            cancelled=_kill_children,
        )
        return _cause(files / "log", code) or code
    finally:
        for file in files.iterdir():
            file.unlink()
        files.rmdir()


def _process(folder: ContainerFolder, program: Sequence[str], *, has_terminal: bool) -> dict[str, Any]:
    """The `process` of the container's own program, for another one."""
    own = msgspec.json.decode(folder.config.read_bytes())["process"]
    environment = [*own["env"], "TERM=xterm"] if has_terminal else own["env"]
    return {**own, "args": list(program), "env": environment, "terminal": has_terminal}


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


def _cause(log: Path, code: int) -> int:
    """126 or 127 if the runtime could not start the program."""
    if code == 0 or not log.exists() or not (message := message_of(log.read_bytes()[-_MOST_BYTES:])):
        return 0
    return _NOT_FOUND if any(words in message for words in _MISSING) else _CANNOT_EXECUTE
