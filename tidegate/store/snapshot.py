# SPDX-License-Identifier: Apache-2.0
"""The objects of one resource as of a revision, and the pages that a list is read in. Pure."""

from typing import NamedTuple

from tidegate.model.objects import Key, Object
from tidegate.store.watch import Select


class Page(NamedTuple):
    """Objects in key order as of `revision`. `remaining` counts what lies beyond, before any selection."""

    items: list[Object]
    revision: int
    last: Key | None
    remaining: int


class Snapshot(NamedTuple):
    """All objects that a page is made of. Making it is pure, and may be done in a thread where that takes long."""

    objects: list[tuple[Key, Object]]
    revision: int

    def page(self, select: Select | None, limit: int) -> Page:
        """The first selected ones; `limit` 0 is all of them."""
        items: list[Object] = []
        for position, (key, obj) in enumerate(self.objects, 1):
            if select is None or select(obj):
                items.append(obj)
                if len(items) == limit and position < len(self.objects):
                    return Page(items, self.revision, key, len(self.objects) - position)
        return Page(items, self.revision, None, 0)
