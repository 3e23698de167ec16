# SPDX-License-Identifier: Apache-2.0
"""Which revision gets which request, as plain records without Kubernetes fields and without Envoy's words.

In: an Ingress, or a Revision and its Pods (`ingress`, `backend`). Out: a `Routing` for each Ingress and a `Backend` for
each revision. Called by: the gateway and `xds`. The records are immutable and compare by value, so an unchanged one is
not published again.
"""

from dataclasses import dataclass
from typing import NamedTuple

from tidegate.model.objects import Key


class Split(NamedTuple):
    """A percentage of the requests. All splits of a path sum up to 100. `headers` are added to each request."""

    revision: Key
    percent: int
    headers: tuple[tuple[str, str], ...] = ()


class Mirror(NamedTuple):
    """A revision that gets copies of `percent` % of the requests; its responses are discarded."""

    revision: Key
    percent: int


class PathRule(NamedTuple):
    """The revisions for requests with a path prefix. Paths with longer prefixes and with more header conditions are
    matched first.

    `conditions`: headers and their exact values. `headers` are added to requests; `host` replaces the Host header.
    """

    splits: tuple[Split, ...]
    prefix: str = "/"
    conditions: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    host: str = ""
    mirrors: tuple[Mirror, ...] = ()

    @property
    def revisions(self) -> frozenset[Key]:
        """The revisions of all splits, even of 0 %, and the revisions that get copies."""
        return frozenset([split.revision for split in self.splits] + [mirror.revision for mirror in self.mirrors])


class Rule(NamedTuple):
    """Hosts that have the same paths. `local`: only for clients in this cluster."""

    hosts: tuple[str, ...]
    paths: tuple[PathRule, ...]
    local: bool = False

    @property
    def served(self) -> frozenset[Key]:
        """The revisions with a split of more than 0 %, and the revisions that get copies."""
        sharing = frozenset(split.revision for path in self.paths for split in path.splits if split.percent)
        return sharing | {mirror.revision for path in self.paths for mirror in path.mirrors}


class Certificate(NamedTuple):
    """Hosts that use the certificate of a Secret for HTTPS."""

    hosts: tuple[str, ...]
    secret: Key


@dataclass(frozen=True, slots=True)
class Routing:
    """The routes of one Ingress. `redirects`: plain HTTP is redirected to HTTPS."""

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
    """The address of one instance, as "ip:port". `draining`: it completes its requests and gets no new ones."""

    address: str
    draining: bool = False


@dataclass(frozen=True, slots=True)
class Backend:
    """The instances of one revision, and the limits of requests to them.

    | field | meaning |
    | --- | --- |
    | `http2` | instances speak HTTP/2 without TLS |
    | `concurrency` | requests in flight at one instance; 0: no limit |
    | `queue_seconds` | how long a request may wait for an instance |
    | `response_start_seconds` | from the assignment of an instance to the first byte of the response; 0: no limit |
    | `idle_seconds` | without a byte of the response; 0: no limit |
    | `request_seconds` | from the assignment of an instance to the end of the response; 0: no limit |
    | `unavailable` | why no instance will come, in one word; requests are rejected with it instead of waiting |
    """

    endpoints: tuple[Endpoint, ...] = ()
    http2: bool = False
    concurrency: int = 0
    queue_seconds: float = 300
    response_start_seconds: float = 0
    idle_seconds: float = 0
    request_seconds: float = 0
    unavailable: str = ""
