# SPDX-License-Identifier: Apache-2.0
"""How the process logs: one event a line on standard error, with its time, level, part and fields; in colour on a
terminal, as JSON elsewhere.

Logging never fails and never blocks: a line that cannot be written (full disk, closed pipe) is dropped, and the next
line reports how many were dropped.
"""

import os
import sys

import structlog


class _Named:
    """Writes lines to standard error, and knows which part of the process it writes for."""

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, message: str) -> None:
        _lines.write(message)

    log = debug = info = warning = error = critical = exception = msg


class _Lines:
    """Standard error, a line at a time: past Python's buffer, which would keep what a full disk has refused."""

    def __init__(self) -> None:
        self._dropped = 0

    def write(self, line: str) -> None:
        dropped = f"\n({self._dropped} lines could not be written)\n" if self._dropped else ""
        text = f"{dropped}{line}\n".encode(errors="backslashreplace")
        try:
            whole = os.write(sys.stderr.fileno(), text) == len(text)
        except OSError:
            whole = False
        self._dropped = 0 if whole else self._dropped + 1


_lines = _Lines()


def configure() -> None:
    """Set the process's logging up."""
    terminal = sys.stderr.isatty()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if terminal else [structlog.processors.format_exc_info]),
            # A plain traceback: structlog's usual one shows local variables, and with them what Secrets hold.
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
            if terminal
            else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger("info"),
        logger_factory=lambda name="tidegate": _Named(name),
        cache_logger_on_first_use=True,
    )
