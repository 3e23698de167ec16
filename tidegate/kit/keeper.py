# SPDX-License-Identifier: Apache-2.0
"""Keeps one program running in the background: `python -m tidegate.kit.keeper FOLDER LOG PROGRAM...`.

In: the program, a log for its output, a folder for the lock and the reason of a failure. Out, on stdout until the
program is ready: `STATUS=...` as it says (`kit.notify`), then `READY=1`, or `FAILED=...` with the reason, or `HELD=PID`
where there is a keeper already. Called by: `tidegate up --detach`. It imports no package, to stay small.

| the program | then |
| --- | --- |
| ends before it was ever ready | the keeper ends with its exit code |
| exits with 0, or 3 (its state cannot be used) | the keeper ends |
| crashes, having run for a minute | it is started again after 1 s |
| crashes sooner | it is started again after 1 s, doubling to 30 s; the 6th time in a row the keeper gives up |

SIGTERM ends the program, and the keeper after it. The reason for giving up is in FOLDER/ended.
"""

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from tidegate.kit import lock
from tidegate.kit.backoff import Backoff
from tidegate.kit.files import open_log, write_whole

LOCK, ENDED = "keeper.lock", "ended"
DO_NOT_RESTART = 3
"""The exit code of a program that must not be restarted."""

FIRST_SECONDS, LONGEST_SECONDS = 1.0, 30.0  # until it is started again
STEADY_SECONDS = 60.0
MOST_CRASHES = 5


class Keeper:
    """The program, through all its runs."""

    def __init__(self, folder: Path, log: Path, program: list[str]) -> None:
        self._folder = folder
        self._log = log
        self._program = program
        self._news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._news.bind("")  # an abstract address of the kernel's choice
        self._news.setblocking(False)
        self._woken, waking = socket.socketpair()
        for end in (self._woken, waking):
            end.setblocking(False)
        signal.set_wakeup_fd(waking.fileno())
        self._waking = waking
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._stopping = False
        self._was_ready = False
        self._child: subprocess.Popen[bytes] | None = None

    def run(self) -> int:
        """Keep it running; the exit code of the keeper."""
        backoff = Backoff(FIRST_SECONDS, LONGEST_SECONDS)
        crashes = 0
        (self._folder / ENDED).unlink(missing_ok=True)
        while True:
            began = time.monotonic()
            try:
                code = self._live()
                how = f"exit code {code}" if code >= 0 else signal.Signals(-code).name
            except OSError as error:  # a shortage may pass
                code, how = -1, f"no start: {error}"
            if self._stopping or code == 0:
                return 0
            if not self._was_ready or code == DO_NOT_RESTART:
                return self._give_up(self._last_words() or f"it ended with {how}", code)
            if time.monotonic() - began >= STEADY_SECONDS:
                backoff.forget("")
                crashes = 0
            crashes += 1
            if crashes > MOST_CRASHES:
                return self._give_up(f"it crashed {crashes} times in a row, the last time with {how}", code)
            delay = backoff.next("")
            self._say("ended, is started again", how=how, restart_in=delay)
            self._wait(delay)
            if self._stopping:
                return 0

    def _live(self) -> int:
        """One run of the program; its exit code, or minus the signal that ended it."""
        with open_log(self._log) as output:
            self._began = output.tell()
            os.dup2(output.fileno(), sys.stderr.fileno())
            self._child = subprocess.Popen(  # noqa: S603 (the program of our arguments)
                self._program,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "NOTIFY_SOCKET": _address(self._news)},
            )
        self._wait(None)
        code = self._child.wait()
        self._child = None
        return code

    def _wait(self, seconds: float | None) -> None:
        """Wait until the program ends, the time is over, or the keeper must stop."""
        deadline = None if seconds is None else time.monotonic() + seconds
        handle = os.pidfd_open(self._child.pid) if self._child is not None else None
        with selectors.DefaultSelector() as selector:
            for file in (self._news.fileno(), self._woken.fileno(), *([handle] if handle is not None else [])):
                selector.register(file, selectors.EVENT_READ)
            while True:
                left = None if deadline is None else deadline - time.monotonic()
                ready = [key.fd for key, _ in selector.select(left)] if left is None or left > 0 else []
                self._read_news()
                with suppress(BlockingIOError):
                    self._woken.recv(100)
                if handle in ready or (handle is None and (self._stopping or not ready)):
                    break
        if handle is not None:
            os.close(handle)

    def _read_news(self) -> None:
        with suppress(BlockingIOError):
            while news := self._news.recv(4096):
                for line in news.decode(errors="replace").splitlines():
                    if line.startswith("STATUS="):
                        self._report(line)
                    elif line == "READY=1":
                        self._report(line)
                        self._was_ready = True

    def _report(self, line: str) -> None:
        """Report to the process that started the keeper, until the program is ready."""
        if not self._was_ready:
            with suppress(OSError):
                os.write(sys.stdout.fileno(), f"{line}\n".encode())
        if line == "READY=1" or line.startswith("FAILED="):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

    def _stop(self, number: int, frame: object) -> None:
        self._stopping = True
        if self._child is not None:
            self._child.terminate()

    def _give_up(self, why: str, code: int) -> int:
        self._say("given up", reason=why)
        with suppress(OSError):
            write_whole(self._folder / ENDED, why.encode())
        self._report(f"FAILED={why}")
        return code if code > 0 else 1

    def _last_words(self) -> str:
        """The last line of the program's output, without the mark of its own failures."""
        with suppress(OSError), self._log.open("rb") as log:
            end = log.seek(0, os.SEEK_END)
            log.seek(max(self._began if self._began <= end else 0, end - 4096))  # it may have been rotated
            lines = log.read().decode(errors="replace").strip().splitlines()
            return lines[-1].removeprefix("error: ") if lines else ""
        return ""

    def _say(self, event: str, **fields: object) -> None:
        """One line in the log, as the program's own."""
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        line = json.dumps({**fields, "event": event, "level": "error", "logger": "keeper", "timestamp": now})
        with suppress(OSError), open_log(self._log) as log:
            log.write(f"{line}\n".encode())


def _address(bound: socket.socket) -> str:
    name = bound.getsockname()
    return f"@{name[1:].decode()}" if isinstance(name, bytes) else f"@{name[1:]}"


def main(folder: str, log: str, *program: str) -> int:
    """Run as the only keeper of that folder."""
    try:
        with lock.held(Path(folder) / LOCK):
            return Keeper(Path(folder), Path(log), list(program)).run()
    except lock.Held as held:
        print(f"HELD={held.process.pid if held.process else ''}", flush=True)  # noqa: T201 (see the top)
        return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
