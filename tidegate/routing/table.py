# SPDX-License-Identifier: Apache-2.0
"""Who gets which request, as plain records: no Kubernetes fields on one side, no Envoy words on the other.

`Routing` is what one Ingress says, `Backend` what there is of one revision. Both are immutable and compare by value, so
that what did not change costs nothing further on.
"""

from dataclasses import dataclass
from typing import NamedTuple

from tidegate.model.objects import Key


class Split(NamedTuple):
    """A share of the requests. `percent`: of 100, over all splits of a path. `headers` are added to each request."""

    revision: Key
    percent: int
    headers: tuple[tuple[str, str], ...] = ()


class Mirror(NamedTuple):
    """A revision that gets a copy of `percent` of the requests, of 100, and whose answers nobody gets."""

    revision: Key
    percent: int


class Path(NamedTuple):
    """Where requests of a path prefix go; those of longer prefixes and with more header conditions are asked first.

    `conditions`: headers that must have just that value. `headers` are added; `host` replaces the Host header.
    """

    splits: tuple[Split, ...]
    prefix: str = "/"
    conditions: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    host: str = ""
    mirrors: tuple[Mirror, ...] = ()

    @property
    def revisions(self) -> frozenset[Key]:
        """Those that have a share or get copies."""
        return frozenset([split.revision for split in self.splits] + [mirror.revision for mirror in self.mirrors])


class Rule(NamedTuple):
    """Hosts that have the same paths. `local`: only for those inside."""

    hosts: tuple[str, ...]
    paths: tuple[Path, ...]
    local: bool = False

    @property
    def served(self) -> frozenset[Key]:
        """The revisions that have a share of its requests, or get copies of them."""
        sharing = frozenset(split.revision for path in self.paths for split in path.splits if split.percent)
        return sharing | {mirror.revision for path in self.paths for mirror in path.mirrors}


class Certificate(NamedTuple):
    """Hosts that show the certificate of a Secret over HTTPS."""

    hosts: tuple[str, ...]
    secret: Key


@dataclass(frozen=True, slots=True)
class Routing:
    """All that one Ingress routes. `redirects`: plain HTTP is sent to HTTPS."""

    rules: tuple[Rule, ...]
    redirects: bool = False
    certificates: tuple[Certificate, ...] = ()

    @property
    def public(self) -> tuple[Rule, ...]:
        return tuple(rule for rule in self.rules if not rule.local)

    @property
    def revisions(self) -> frozenset[Key]:
        return frozenset(revision for rule in self.rules for path in rule.paths for revision in path.revisions)


class Endpoint(NamedTuple):
    """Where one instance takes requests, as "ip:port". `draining`: it ends what it has and gets nothing new."""

    address: str
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Backend:
    """What there is of one revision.

    `http2`: it speaks HTTP/2 without TLS. `concurrency`: requests at a time at one instance, 0 for any number.
    `queue_seconds`: how long a request may wait for an instance. Limits of time from when an instance gets a request, 0
    for none: `response_start_seconds` to the beginning of the answer, `idle_seconds` without a byte of it,
    `request_seconds` to its end. `unavailable`: in a word, why no instance will come; requests are refused with it
    instead of waiting.
    """

    endpoints: tuple[Endpoint, ...] = ()
    http2: bool = False
    concurrency: int = 0
    queue_seconds: float = 300
    response_start_seconds: float = 0
    idle_seconds: float = 0
    request_seconds: float = 0
    unavailable: str = ""
