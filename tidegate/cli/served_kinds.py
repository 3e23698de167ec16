# SPDX-License-Identifier: Apache-2.0
"""The kinds that commands know: the built-in ones and, for other names, the kinds that the server lists.

In: the state folder of a Tidegate. Out: kinds by name or as a list. The server is asked at most once, and only for a
name that is not that of a built-in kind, e.g. of an extension's kind, or "all". Called by: `kind_names` and
`manifests`.
"""

from functools import cached_property
from pathlib import Path

from tidegate.cli.connection import connected, run
from tidegate.model.kinds import BUILT_IN_KINDS, Kind, Kinds


class ServedKinds:
    """The kinds of the Tidegate in a state folder."""

    def __init__(self, data_dir: Path | None) -> None:
        self._data_dir = data_dir

    def named(self, api_version: str, kind: str) -> Kind | None:
        """The kind with the `apiVersion` and `kind` of an object; None if the server does not have it."""
        return BUILT_IN_KINDS.named(api_version, kind) or self.all.named(api_version, kind)

    @cached_property
    def all(self) -> Kinds:
        """Every kind: the built-in ones first, in their order."""
        return run(self._all())

    async def _all(self) -> Kinds:
        async with connected(self._data_dir) as cluster:
            served = await cluster.kinds()
        return Kinds((*BUILT_IN_KINDS, *(kind for kind in served if BUILT_IN_KINDS.of_resource(kind.resource) is None)))
