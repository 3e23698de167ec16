# SPDX-License-Identifier: Apache-2.0
"""The files of a session's program: pipes, or a terminal; and the copying between them and the client.

In: the options of the session, its client's streams. Out: a `Stdio` for the runtime. Called by: `sessions.py`.

Nothing is buffered here: the program waits for the client, and the client for the program. The copying of output ends
when the program has ended and has left nothing to read; processes that it has left behind may still have the files.
"""

import asyncio
import os
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tidegate.model.sessions import SessionOptions, SessionStreams
from tidegate.node.runtime import Stdio

_PIECE = 64 * 1024
_END_OF_INPUT = b"\x04"  # Ctrl-D, which a terminal takes for the end


class ProgramFiles:
    """Our ends of a program's files. `stdio`: the program's ends; files that the client does not want are
    /dev/null."""

    def __init__(self, options: SessionOptions) -> None:
        self._open: set[int] = set()
        self._stdin: int | None = None
        self._outputs: list[tuple[int, bool]] = []  # with whether it is stderr
        self._has_ended = False
        self._wakes: set[asyncio.Event] = set()
        try:
            self.stdio = self._terminal(options) if options.tty else self._pipes(options)
        except BaseException:
            self.close()
            raise

    def _pipes(self, options: SessionOptions) -> Stdio:
        stdin = stdout = stderr = self._kept(os.open(os.devnull, os.O_RDWR))
        if options.stdin:
            stdin, self._stdin = map(self._kept, os.pipe())
            os.set_blocking(self._stdin, False)
        if options.stdout:
            stdout = self._output(is_error=False)
        if options.stderr:
            stderr = self._output(is_error=True)
        return Stdio(stdin, stdout, stderr)

    def _output(self, *, is_error: bool) -> int:
        ours, theirs = map(self._kept, os.pipe())
        os.set_blocking(ours, False)
        self._outputs.append((ours, is_error))
        return theirs

    def _terminal(self, options: SessionOptions) -> Stdio:
        ours, theirs = map(self._kept, os.openpty())
        os.set_blocking(ours, False)
        self._stdin = ours if options.stdin else None
        self._outputs = [(ours, False)]
        return Stdio(theirs, theirs, theirs, terminal=True)

    def _kept(self, file: int) -> int:
        self._open.add(file)
        return file

    def close(self) -> None:
        while self._open:
            os.close(self._open.pop())

    def end(self) -> None:
        """The program has ended: `copy_output` returns once it has copied the rest."""
        self._has_ended = True
        for wake in self._wakes:
            wake.set()

    async def copy_output(self, streams: SessionStreams) -> None:
        await asyncio.gather(*(self._copy_output(file, streams, is_error) for file, is_error in self._outputs))

    async def _copy_output(self, file: int, streams: SessionStreams, is_error: bool) -> None:
        while True:
            has_ended = self._has_ended  # before reading, so that all that was written until then is read
            try:
                data = os.read(file, _PIECE)
            except BlockingIOError:
                if has_ended:
                    return
                await self._readable(file)
                continue
            except OSError:  # a terminal that no process has open
                return
            if not data:
                return
            await streams.write(data, is_error=is_error)

    async def _readable(self, file: int) -> None:
        """Returns once there is something to read, or the program has ended."""
        wake, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wakes.add(wake)
        loop.add_reader(file, wake.set)
        try:
            if not self._has_ended:
                await wake.wait()
        finally:
            loop.remove_reader(file)
            self._wakes.discard(wake)

    async def copy_input(self, streams: SessionStreams) -> None:
        """Until the end of the client's input. Input that the program does not take any more is dropped."""
        if self._stdin is None:
            return
        is_taken = True
        while data := await streams.read():
            is_taken = is_taken and await _written(self._stdin, data)
        if self.stdio.terminal:
            await _written(self._stdin, _END_OF_INPUT)
        else:
            self._open.remove(self._stdin)
            os.close(self._stdin)

    async def follow_size(self, streams: SessionStreams) -> None:
        """Give the terminal the size of the client's."""
        while self.stdio.terminal:
            size = await streams.resized()
            with suppress(OSError):
                termios.tcsetwinsize(self.stdio.stdin, (size.rows, size.columns))


async def _written(file: int, data: bytes) -> bool:
    """False if the program does not read it any more."""
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(file, left) :]
        except BlockingIOError:
            await _writable(file)
        except OSError:
            return False
    return True


async def _writable(file: int) -> None:
    wake, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_writer(file, wake.set)
    try:
        await wake.wait()
    finally:
        loop.remove_writer(file)


@contextmanager
def program_files(options: SessionOptions) -> Iterator[ProgramFiles]:
    """The files of one session. Raises `OSError`."""
    files = ProgramFiles(options)
    try:
        yield files
    finally:
        files.close()
