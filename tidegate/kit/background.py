# SPDX-License-Identifier: Apache-2.0
"""A thread for work that would block the event loop: one function after another, in order.

In: functions. Out: futures of their results. The thread is a daemon: an exiting process does not wait for it, so files
that it writes must be complete at any time. Called by: autoscaling classes that learn.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Background:
    """The thread; it starts with the first function."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    def __call__(self, function: Callable[[], T], /) -> Future[T]:
        """Run it after all earlier functions; the future has its result or its exception."""
        done: Future[T] = Future()
        self._tasks.put((function, done))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            self._thread.start()
        return done

    def _run(self) -> None:
        while True:
            _settle(*self._tasks.get())


def at_once(function: Callable[[], T], /) -> Future[T]:
    """The same without a thread: the future is done on return."""
    done: Future[T] = Future()
    _settle(function, done)
    return done


def _settle(function: Callable[[], T], done: Future[T]) -> None:
    if not done.set_running_or_notify_cancel():
        return  # it was cancelled
    try:
        done.set_result(function())
    except BaseException as error:  # the caller gets it from the future
        done.set_exception(error)
