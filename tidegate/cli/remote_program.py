# SPDX-License-Identifier: Apache-2.0
"""A program in a container, with the stdin, stdout, stderr and terminal of this process.

In: a running `RemoteProgram`. Out: its exit code. The terminal is as before at every end. Called by: `tidegate exec`.
"""

import asyncio
import os
import signal
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tidegate.client.sessions import RemoteProgram
from tidegate.model.sessions import TerminalSize

_PIECE = 32 * 1024
_STDIN = 0


async def run(program: RemoteProgram, *, sends_input: bool, has_terminal: bool) -> int:
    """Copy input and output until the program has ended. Raises `ApiError`, `ConnectionError`."""
    loop = asyncio.get_running_loop()
    resized = asyncio.Event()
    sizes = asyncio.create_task(_send_sizes(program, resized), name="terminal size") if has_terminal else None
    with _raw_terminal() if has_terminal else _as_it_is():
        if has_terminal:
            resized.set()
            loop.add_signal_handler(signal.SIGWINCH, resized.set)
        if sends_input:
            threading.Thread(target=_copy_input, args=(program, loop), name="stdin", daemon=True).start()
        try:
            async for piece in program.output():
                _write(sys.stderr.fileno() if piece.is_error else sys.stdout.fileno(), piece.data)
        finally:
            if sizes is not None:
                sizes.cancel()
                loop.remove_signal_handler(signal.SIGWINCH)
    return program.exit_code


def _write(file: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]


def _copy_input(program: RemoteProgram, loop: asyncio.AbstractEventLoop) -> None:
    """In a thread, because a file or a terminal cannot be waited for in the event loop without a change of its mode,
    which other programs share. It waits for the program to take its input."""
    with suppress(ConnectionError, OSError, RuntimeError):  # the session or the event loop has ended
        while data := os.read(_STDIN, _PIECE):
            asyncio.run_coroutine_threadsafe(program.send(data), loop).result()
        asyncio.run_coroutine_threadsafe(program.send_end(), loop).result()


async def _send_sizes(program: RemoteProgram, resized: asyncio.Event) -> None:
    with suppress(ConnectionError, OSError):
        while await resized.wait():
            resized.clear()
            columns, rows = os.get_terminal_size(_STDIN)
            await program.resize(TerminalSize(columns, rows))


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Pass every key on, also Ctrl-C."""
    before = termios.tcgetattr(_STDIN)
    try:
        with _ended_by(signal.SIGTERM), _ended_by(signal.SIGHUP):
            tty.setraw(_STDIN)
            yield
    finally:
        termios.tcsetattr(_STDIN, termios.TCSADRAIN, before)


@contextmanager
def _as_it_is() -> Iterator[None]:
    yield


@contextmanager
def _ended_by(number: signal.Signals) -> Iterator[None]:
    """Let a signal end the program as Ctrl-C does, so that the terminal is restored."""
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    if task is not None:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        loop.remove_signal_handler(number)
