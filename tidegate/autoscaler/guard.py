# SPDX-License-Identifier: Apache-2.0
"""Isolation of failures: an exception or an exit in the work for one revision, or in one class, must not stop
the others.

In: functions, each for one name. Out: calls, and log events for the failed ones. Called by: `controller.py`, because
a class may come from a package of somebody else.
"""

from collections.abc import Callable, Hashable

import structlog

from tidegate.kit.backoff import Backoff
from tidegate.kit.clock import Clock

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds
_log = structlog.get_logger("autoscaler")


class Guard:
    """Runs functions by name. After an exception, calls for that name are skipped for a growing time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._backoff = Backoff(_FIRST_WAIT, _LONGEST_WAIT)
        self._skipped_until: dict[Hashable, float] = {}

    def run(self, name: Hashable, work: Callable[[float], None]) -> None:
        """Call `work` with the time, unless it failed for this name a short time ago."""
        now = self._clock.monotonic()
        if now < self._skipped_until.get(name, 0.0):
            return
        try:
            work(now)
        except (Exception, SystemExit) as error:  # any class may raise anything
            delay = self._backoff.next(name)
            self._skipped_until[name] = now + delay
            _log.error("autoscaling failed", of=str(name), retry_in=delay, exc_info=error)
        else:
            self.forget(name)

    def forget(self, name: Hashable) -> None:
        """Drop all failures of a name."""
        if self._skipped_until.pop(name, None) is not None:
            self._backoff.forget(name)
