# SPDX-License-Identifier: Apache-2.0
"""config-gateway: rules for requests of clients. Knative does not have this map: it leaves these rules to the
ingress."""

from collections.abc import Iterator
from dataclasses import dataclass

from tidegate.model.config import values
from tidegate.model.config.values import Problem

_MOST_HOPS = 10


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """`headers_with_underscores`: reject, drop or allow. `escaped_slashes`: keep, reject, decode or redirect.
    `trusted_hops`: number of proxies in front of the gateway whose X-Forwarded-* headers are trusted.
    `client_requests_per_second`: from one address, 0 for no limit."""

    headers_with_underscores: str = values.choice("reject", "drop", "allow")
    merge_slashes: bool = values.switch(False)
    escaped_slashes: str = values.choice("keep", "reject", "decode", "redirect")
    trusted_hops: int = values.whole(0, bits=32)
    client_requests_per_second: int = values.whole(0, bits=32)

    def problems(self) -> Iterator[Problem]:
        if not 0 <= self.trusted_hops <= _MOST_HOPS:
            yield "trusted-hops", f"must be between 0 and {_MOST_HOPS}, was {self.trusted_hops}"
        if self.client_requests_per_second < 0:
            yield "client-requests-per-second", f"must not be negative, was {self.client_requests_per_second}"
