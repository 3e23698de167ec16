# SPDX-License-Identifier: Apache-2.0
"""Announces new objects of one kind while their creation is being committed.

In: every change, when the store accepts it and when it ends (`CommitObserver`). Out: `begun` with the new object, then
`ended` with whether it is stored. Called by: the store. The node uses it to expect Pods: it starts an instance during
the commit, so that no request waits for a disk.
"""

from collections.abc import Callable

from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.store.watch import Change


class Creations:
    """The creations of one kind. Both callables are called synchronously and must not block."""

    def __init__(self, kind: Kind, begun: Callable[[Object], None], ended: Callable[[Object, bool], None]) -> None:
        self._resource = kind.resource
        self._begun = begun
        self._ended = ended

    def begun(self, change: Change) -> None:
        if change.resource == self._resource and change.old is None and change.new is not None:
            self._begun(change.new)

    def ended(self, change: Change, *, stored: bool) -> None:
        if change.resource == self._resource and change.old is None and change.new is not None:
            self._ended(change.new, stored)
