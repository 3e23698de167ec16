# SPDX-License-Identifier: Apache-2.0
"""Starts a program as somebody else, with less than we have: by a small program of ours (`launcher/launcher.cc`) that
takes all of it on and then executes the other.

In: `Orders`, complete. Out: a process that leads a session of its own and waits (`prepare`), then the program in its
place (`Prepared.go`), or `LaunchError` with the step that failed. Between the two the caller records the process: what
is not recorded never runs, also if the control plane dies in between.

Who: `process`. Only the standard library is imported here: the build hook loads this file too.
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
from tidegate.node.runtime import Confinement

_HERE = Path(__file__).resolve().parent
_OPTIONS = ("-std=c++20", "-O2", "-s")

LAUNCHER = Native("the launcher", _HERE / "_launcher", _HERE.parents[3] / "launcher", _OPTIONS)
ANSWERS_WITHIN = 10.0
"""Seconds; it takes some milliseconds."""

_KEPT_BACK = 2**20  # bytes: an answer is a word and a number


class LaunchError(Exception):
    """The program did not start. `step`: what failed, as the launcher calls it; `number`: the kernel's errno."""

    def __init__(self, step: str, number: int) -> None:
        super().__init__(f"{step}: {os.strerror(number)}")
        self.step = step
        self.number = number


@dataclass(frozen=True, slots=True)
class Orders:
    """What a process is to become."""

    program: Sequence[str]
    environment: Mapping[str, str]
    directory: Path
    confinement: Confinement

    def encode(self) -> bytes:
        """As `launcher.cc` reads it. Raises `ValueError` for what cannot be given to a program."""
        confined = self.confinement
        user = confined.user
        texts = [
            str(USUAL_FILES[0] if USUAL_FILES[0] != resource.RLIM_INFINITY else 2**62),
            *_counted(confined.covered),
            *_counted(confined.exposed),
            *(str(int(user is not None)), str(confined.capabilities)),
            *(str(user or 0), str(confined.group or 0)),
            *_counted(confined.groups),
            str(self.directory),
            *(str(int(flag)) for flag in (confined.gains, confined.read_only, confined.filtered)),
            *_counted(self.program),
            *_counted([f"{name}={value}" for name, value in self.environment.items()]),
            "end",
        ]
        if odd := next((text for text in texts if "\0" in text), None):
            raise ValueError(f"{odd!r} holds a NUL, which no program can be given")
        return b"".join(os.fsencode(text) + b"\0" for text in texts)


def _counted(values: Sequence[object]) -> list[str]:
    return [str(len(values)), *map(str, values)]


class Prepared:
    """A process that waits for its orders."""

    def __init__(self, child: "subprocess.Popen[bytes]", orders: int, answer: int) -> None:
        self.child = child
        self._orders = orders
        self._answer = answer

    async def go(self, orders: Orders) -> None:
        """Let it become what it is to be; returns once it has. Raises `LaunchError`, and nothing is left of it.

        From when it has taken on its user until it executes the program, other processes of that user may stop it."""
        loop, answered = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._answer, answered.set)
        try:
            with suppress(BrokenPipeError), os.fdopen(self._orders, "wb", buffering=0) as file:
                left = memoryview(orders.encode())
                while left:
                    left = left[file.write(left) or 0 :]
            async with asyncio.timeout(ANSWERS_WITHIN):
                await answered.wait()
            answer = os.read(self._answer, _KEPT_BACK)
        except TimeoutError:
            self.end()
            raise LaunchError(f"it had not begun after {ANSWERS_WITHIN:g} s", errno.ETIMEDOUT) from None
        except BaseException:
            self.end()
            raise
        finally:
            loop.remove_reader(self._answer)
            os.close(self._answer)
        if answer:
            self.child.wait()
            step, _, number = answer.decode().rpartition(" ")
            raise LaunchError(step, int(number))

    def abandon(self) -> None:
        """It is not to become anything."""
        os.close(self._orders)
        os.close(self._answer)
        self.end()

    def end(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, 9)
        self.child.wait()


def prepare(output: int, environment: Mapping[str, str]) -> Prepared:
    """Start a process that waits. `output`: what it writes to; `environment`: its own until it executes the program,
    which never is the app's. Raises `OSError`.

    By vfork, whatever the size of the control plane: `subprocess` forks where it is asked to change the user.
    """
    orders, write_orders = os.pipe()
    read_answer, answer = os.pipe()
    try:
        child = subprocess.Popen(  # noqa: S603 - our own program
            [str(LAUNCHER.file), str(orders), str(answer)],
            env=dict(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=(orders, answer),
        )
    except BaseException:
        os.close(write_orders)
        os.close(read_answer)
        raise
    finally:
        os.close(orders)
        os.close(answer)
    return Prepared(child, write_orders, read_answer)
