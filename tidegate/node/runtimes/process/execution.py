# SPDX-License-Identifier: Apache-2.0
"""A program that runs beside a container's own process: for exec probes, and for sessions (`kubectl exec`).

In: how the container's programs are started, a program, its files. Out: its exit code. A program that is cancelled ends
with all that it has started; the processes carry the mark of the session, so that the next control plane ends them too
(`InstanceProcesses.forget_others`). A program that ends by itself may leave processes in the container, as in
Kubernetes; an exec probe may not. Called by: `running.py`.
"""

import asyncio
import errno
import os
import secrets
import signal
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from tidegate.kit.processes import SHORTAGES
from tidegate.node.runtime import Stdio
from tidegate.node.runtimes.process import sweep
from tidegate.node.runtimes.process.launcher import LaunchError
from tidegate.node.runtimes.process.processes import InstanceProcesses, identity_of
from tidegate.node.runtimes.process.record import Run

CANNOT_EXECUTE, NOT_FOUND = 126, 127  # exit codes of a shell


async def execute(
    processes: InstanceProcesses, owner: str, run: Run, program: Sequence[str], stdio: Stdio | None
) -> int:
    """Run a program of that container to its end; its exit code."""
    if stdio is not None:
        return await _execute(processes, owner, run, program, stdio)
    with Path(os.devnull).open("r+b") as nowhere:  # noqa: ASYNC230 - no file
        file = nowhere.fileno()
        return await _execute(processes, owner, run, program, Stdio(file, file, file), alone=True)


async def _execute(
    processes: InstanceProcesses, owner: str, run: Run, program: Sequence[str], stdio: Stdio, *, alone: bool = False
) -> int:
    """`alone`: end the rest of its process group with it."""
    session = secrets.token_hex(8)
    try:
        if not alone:
            _hand_over(stdio, run)
        child = await processes.spawn_beside(owner, _marked(run, session, stdio), program, stdio)
    except LaunchError as error:
        _report(stdio, program, error.number)
        return NOT_FOUND if error.number == errno.ENOENT else CANNOT_EXECUTE
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) and error.errno is not None else errno.EINVAL
        if number in SHORTAGES:
            raise
        _report(stdio, program, number)
        return CANNOT_EXECUTE
    has_ended = False
    try:
        await identity_of(child).ended()
        has_ended = True
    finally:
        if alone or not has_ended:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        code = child.wait()
        if not has_ended:
            killing = processes.kill_session(owner, child.pid, session)
            await asyncio.shield(asyncio.create_task(killing, name=f"end of a session in {owner}"))
    return code if code >= 0 else 128 - code


def _marked(run: Run, session: str, stdio: Stdio) -> Run:
    terminal = {"TERM": "xterm"} if stdio.terminal else {}
    return msgspec.structs.replace(run, environment={**terminal, **run.environment, sweep.SESSION: session})


def _hand_over(stdio: Stdio, run: Run) -> None:
    """Make the pipes, or the terminal, the program's own: programs open /dev/stdout and /dev/tty. Other files do not
    belong to the session, e.g. /dev/null, which is the host's."""
    if run.confinement.user is None:
        return
    for file in {stdio.stdin, stdio.stdout, stdio.stderr}:
        if stdio.terminal or stat.S_ISFIFO(os.fstat(file).st_mode):
            os.fchown(file, run.confinement.user, -1)


def _report(stdio: Stdio, program: Sequence[str], number: int) -> None:
    """One line on the program's stderr, as a shell writes it."""
    with suppress(OSError):
        os.write(stdio.stderr, f"cannot execute {program[0]}: {os.strerror(number)}\n".encode())
