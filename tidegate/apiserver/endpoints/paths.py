# SPDX-License-Identifier: Apache-2.0
"""The parts of a request path that names a kind. Pure.

/api/v1/...                       the core group
/apis/GROUP/VERSION/...           another
  PLURAL                          all objects of a kind
  PLURAL/NAME[/SUBRESOURCE]       an object of a cluster-wide kind
  namespaces/NS/PLURAL[/NAME[/SUBRESOURCE]]
"""

from typing import NamedTuple

from tidegate.model.kinds import Kind, Kinds
from tidegate.model.objects import Key


class ResourcePath(NamedTuple):
    """A kind, and the other parts of the path; "" for a part that it does not have."""

    kind: Kind
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> Key:
        return Key(self.namespace, self.name)


def parsed(path: str, kinds: Kinds) -> ResourcePath | None:
    """The parts of the path; None if it names no kind that is served."""
    prefix, *parts = path.strip("/").split("/")
    if prefix == "api" and parts:
        group, (version, *rest) = "", parts
    elif prefix == "apis" and len(parts) > 1:
        group, version, *rest = parts
    else:
        return None
    namespace = ""
    if len(rest) > 2 and rest[0] == "namespaces" and kinds.at(group, version, rest[2]) is not None:
        namespace, rest = rest[1], rest[2:]
    plural, name, subresource, *beyond = [*rest, "", "", ""][: max(3, len(rest))]
    kind = kinds.at(group, version, plural)
    if kind is None or any(beyond) or bool(namespace) > kind.namespaced or (name and bool(namespace) < kind.namespaced):
        return None
    return ResourcePath(kind, namespace, name, subresource)
