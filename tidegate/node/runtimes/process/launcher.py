# SPDX-License-Identifier: Apache-2.0
"""Starts a program as another user and with fewer privileges. A small program of ours (`launcher/launcher.cc`) takes on
the user and the limits, then executes the program.

In: `Orders`. Out: a process that leads a session of its own and waits (`start_waiting`), then the program in its place
(`WaitingProcess.execute`), or `LaunchError` with the step that failed. The caller records the process in between, so a
program that is not recorded never runs, also if the control plane dies at that moment.

Called by: `processes.py`. Only the standard library is imported here: the build hook loads this file too.
"""

import asyncio
import errno
import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidegate.kit.native import Native
from tidegate.kit.processes import USUAL_FILES
from tidegate.node.runtimes.process.confinement import Confinement

_HERE = Path(__file__).resolve().parent
_OPTIONS = ("-std=c++20", "-O2", "-s")

LAUNCHER = Native("the launcher", _HERE / "_launcher", _HERE.parents[3] / "launcher", _OPTIONS)
ANSWERS_WITHIN = 10.0
"""The seconds that the launcher has; it usually takes some milliseconds."""

_LONGEST_ANSWER = 2**20  # bytes; an answer is a word and a number
_ENTERED = b"+"  # the first byte of an answer from a sandbox
SANDBOX = "sandbox"
"""The step in which bubblewrap makes a sandbox."""


class LaunchError(Exception):
    """The program did not start. `step`: the launcher's name for the step that failed; `number`: the errno."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(f"{step}: {os.strerror(number)}")
        self.step = step
        self.number = number


@dataclass(frozen=True, slots=True)
class Place:
    """Where a program runs. `sandbox`: bubblewrap with its arguments, for a new sandbox (`bubblewrap.py`); `beside`:
    the process that leads an existing sandbox."""

    sandbox: Sequence[str] = ()
    beside: int = 0


_ON_THE_HOST = Place()


@dataclass(frozen=True, slots=True)
class Orders:
    """The program that a process has to become, and its user, limits, environment and place. `attended`: it is killed
    when the control plane dies; `has_terminal`: its stdin is a terminal, which becomes its controlling terminal."""

    program: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    confinement: Confinement
    place: Place = _ON_THE_HOST
    attended: bool = False
    has_terminal: bool = False

    def encode(self) -> bytes:
        """The form that `launcher.cc` reads. Raises `ValueError` for a text that no program can get."""
        confined = self.confinement
        user = confined.user
        texts = [
            str(USUAL_FILES[0] if USUAL_FILES[0] != resource.RLIM_INFINITY else 2**62),
            str(self.place.beside),
            *_counted(self.place.sandbox),
            *_counted(confined.covered),
            *_counted(confined.exposed),
            *(str(int(user is not None)), str(confined.capabilities)),
            *(str(user or 0), str(confined.group or 0)),
            *_counted(confined.groups),
            str(self.directory),
            *(str(int(flag)) for flag in (confined.gains, confined.read_only, confined.filtered)),
            *(str(int(flag)) for flag in (self.attended, self.has_terminal)),
            *_counted(self.program),
            *_counted([f"{name}={value}" for name, value in self.environment.items()]),
            "end",
        ]
        if odd := next((text for text in texts if "\0" in text), None):
            raise ValueError(f"{odd!r} holds a NUL, which no program can be given")
        return b"".join(os.fsencode(text) + b"\0" for text in texts)


def _counted(values: Sequence[object]) -> list[str]:
    return [str(len(values)), *map(str, values)]


class Child:
    """A process of ours that runs a program. In a sandbox it is bubblewrap, and `status` is the file that gets the wait
    status of the program."""

    def __init__(self, process: "subprocess.Popen[bytes]", status: int) -> None:
        self.pid = process.pid
        self._process = process
        self._status = status
        self._code: int | None = None

    @property
    def has_been_waited_for(self) -> bool:
        return self._process.returncode is not None

    def wait(self) -> int:
        """The exit code of the program, or the negative number of the signal that ended it; waits for its end."""
        if self._code is None:
            self._code = self._process.wait()
            with suppress(BlockingIOError):  # bubblewrap was killed
                if status := os.read(self._status, _LONGEST_ANSWER):
                    self._code = os.waitstatus_to_exitcode(int(status))
            os.close(self._status)
        return self._code


class WaitingProcess:
    """A process that waits for its orders."""

    def __init__(self, process: "subprocess.Popen[bytes]", orders: int, answer: int, status: int) -> None:
        self.child = Child(process, status)
        self._orders = orders
        self._answer = answer

    async def execute(self, orders: Orders) -> None:
        """Execute the program in its place; returns once that has begun. Raises `LaunchError`; then the process has
        ended.

        Once it has taken on its user, other processes of that user may stop it."""
        try:
            async with asyncio.timeout(ANSWERS_WITHIN):
                with suppress(BrokenPipeError), os.fdopen(self._orders, "wb", buffering=0) as file:
                    await _write_all(file.fileno(), orders.encode())
                answer = await _read_all(self._answer)
        except TimeoutError:
            self.end()
            raise LaunchError(f"it had not begun after {ANSWERS_WITHIN:g} s", errno.ETIMEDOUT) from None
        except BaseException:
            self.end()
            raise
        finally:
            os.close(self._answer)
        if orders.place.sandbox and not answer.startswith(_ENTERED):
            self.end()
            raise LaunchError(SANDBOX, errno.EPERM)
        if failure := answer.removeprefix(_ENTERED):
            self.child.wait()
            step, _, number = failure.decode().rpartition(" ")
            raise LaunchError(step, int(number))

    def abandon(self) -> None:
        """End it without a program."""
        os.close(self._orders)
        os.close(self._answer)
        self.end()

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, 9)
        self.child.wait()


def start_waiting(
    output: int, environment: Mapping[str, str], *, errors: int | None = None, stdin: int = subprocess.DEVNULL
) -> WaitingProcess:
    """Start a process that waits for its orders. `output`, `errors`: the files that it writes to, by default one;
    `environment`: its variables until it executes the program, never the app's. Raises `OSError`.

    `subprocess` uses vfork, which takes the same time whatever the size of the control plane; it would fork if it had
    to change the user.
    """
    orders, write_orders = os.pipe()
    read_answer, answer = os.pipe()
    read_status, status = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        process = subprocess.Popen(  # noqa: S603 - our own program
            [str(LAUNCHER.file), str(orders), str(answer), str(status)],
            env=dict(environment),
            cwd="/",
            stdin=stdin,
            stdout=output,
            stderr=output if errors is None else errors,
            start_new_session=True,
            pass_fds=(orders, answer, status),
        )
    except BaseException:
        for file in (write_orders, read_answer, read_status):
            os.close(file)
        raise
    finally:
        for file in (orders, answer, status):
            os.close(file)
    return WaitingProcess(process, write_orders, read_answer, read_status)


async def _write_all(file: int, content: bytes) -> None:
    """Write to a pipe, whose reader may be stopped, without blocking the event loop."""
    os.set_blocking(file, False)
    loop, writable = asyncio.get_running_loop(), asyncio.Event()
    left = memoryview(content)
    while left := left[_write(file, left) :]:
        loop.add_writer(file, writable.set)
        try:
            await writable.wait()
        finally:
            loop.remove_writer(file)
        writable.clear()


def _write(file: int, content: memoryview) -> int:
    try:
        return os.write(file, content)
    except BlockingIOError:
        return 0


async def _read_all(file: int) -> bytes:
    """All that is written to a pipe before it is closed, without blocking the event loop."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(file, readable.set)
    try:
        content = b""
        while True:
            await readable.wait()
            readable.clear()
            chunk = os.read(file, _LONGEST_ANSWER)
            content += chunk
            if not chunk or len(content) > _LONGEST_ANSWER:
                return content
    finally:
        loop.remove_reader(file)
