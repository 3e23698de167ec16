# SPDX-License-Identifier: Apache-2.0
"""How the process logs: one event a line on standard error, with its time, level, part and fields; in colour on a
terminal, as JSON elsewhere."""

import sys

import structlog


class _Named(structlog.WriteLogger):
    """Writes lines to a file, and knows which part of the process it writes for."""

    def __init__(self, name: str) -> None:
        super().__init__(sys.stderr)
        self.name = name


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
