# SPDX-License-Identifier: Apache-2.0
"""Tells of new objects of one kind while their creation is being committed.

In: every change as the store takes it on and as it ends (`CommitObserver`). Out: `coming`, then `came`, which says
whether it is stored. Who: the node starts what a Pod asks for meanwhile, so that no request waits for a disk.
"""

from collections.abc import Callable

from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.store.watch import Change


class Early:
    """Both are called at once and must not wait."""

    def __init__(self, kind: Kind, coming: Callable[[Object], None], came: Callable[[Object, bool], None]) -> None:
        self._resource = kind.resource
        self._coming = coming
        self._came = came

    def begun(self, change: Change) -> None:
        if change.resource == self._resource and change.old is None and change.new is not None:
            self._coming(change.new)

    def ended(self, change: Change, *, stored: bool) -> None:
        if change.resource == self._resource and change.old is None and change.new is not None:
            self._came(change.new, stored)
