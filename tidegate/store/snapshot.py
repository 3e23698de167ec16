# SPDX-License-Identifier: Apache-2.0
"""The objects of one resource as of a revision, and the pages of a list. Pure."""

from typing import NamedTuple

from tidegate.model.objects import Key, Object
from tidegate.store.watch import Select


class Page(NamedTuple):
    """Objects in key order as of `revision`. `remaining`: number of objects after this page, before any selection."""

    items: list[Object]
    revision: int
    last: Key | None
    remaining: int


class ResourceSnapshot(NamedTuple):
    """The objects from which pages are made. Making a page is pure; a thread may do it."""

    objects: list[tuple[Key, Object]]
    revision: int

    def page(self, select: Select | None, limit: int) -> Page:
        """The first `limit` selected objects; 0: all of them."""
        items: list[Object] = []
        for position, (key, obj) in enumerate(self.objects, 1):
            if select is None or select(obj):
                items.append(obj)
                if len(items) == limit and position < len(self.objects):
                    return Page(items, self.revision, key, len(self.objects) - position)
        return Page(items, self.revision, None, 0)
