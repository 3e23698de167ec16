# SPDX-License-Identifier: Apache-2.0
"""What a request path names.

/api/v1/...                       the core group
/apis/GROUP/VERSION/...           another
  PLURAL                          all objects, or of a cluster-wide kind
  PLURAL/NAME[/SUBRESOURCE]       of a cluster-wide kind
  namespaces/NS/PLURAL[/NAME[/SUBRESOURCE]]
"""

from typing import NamedTuple

from tidegate.model.kinds import Kind, Kinds
from tidegate.model.objects import Key


class Target(NamedTuple):
    """A kind, and how far the path narrows it down: "" where it does not."""

    kind: Kind
    namespace: str
    name: str
    subresource: str

    @property
    def key(self) -> Key:
        return Key(self.namespace, self.name)


def target(path: str, kinds: Kinds) -> Target | None:
    """What the path names, or None where it names nothing that is served."""
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
    return Target(kind, namespace, name, subresource)
