# SPDX-License-Identifier: Apache-2.0
"""A thread for what would hold up the event loop: one thing after the other, in the order it came.

In: functions. Out: futures of what they give. The thread is a daemon: a process that ends does not wait for it, so what
must not be cut in half has to be whole on disk at any time. Who: autoscaling classes that learn.
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
        """Run it when all before it are done; what it raises is in the future."""
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
    """The same without a thread: it is done when this returns."""
    done: Future[T] = Future()
    _settle(function, done)
    return done


def _settle(function: Callable[[], T], done: Future[T]) -> None:
    if not done.set_running_or_notify_cancel():
        return  # nobody waits for it any more
    try:
        done.set_result(function())
    except BaseException as error:  # whoever asks for the result gets it
        done.set_exception(error)
