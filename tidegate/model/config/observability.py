# SPDX-License-Identifier: Apache-2.0
"""config-observability: request logs, traces, and the retention of logs of ended instances. Keys for Knative's own
processes are ignored. Knative does not have the keys that begin with `logging.ended-`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit

from tidegate.model.config import values
from tidegate.model.config.values import Problem
from tidegate.model.text import quantities
from tidegate.model.text.quantities import Quantity

_OTLP_PORT = 4317


class Collector(NamedTuple):
    """The address of an OpenTelemetry collector for OTLP over gRPC."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class ObservabilityConfig:
    """`tracing_endpoint`: of a collector, "HOST:PORT" or "http://HOST:PORT". `tracing_sampling_rate`: fraction (0 to 1)
    of requests to trace when the client has not decided. `ended_for`: seconds for which the logs of ended instances are
    kept; `ended_size_of_service`, `ended_size`: the maximum bytes of these logs, per service and in total."""

    enable_request_log: bool = values.switch(False, "logging.enable-request-log")
    tracing_protocol: str = values.text("none")
    tracing_endpoint: str = values.text("")
    tracing_sampling_rate: float = values.number(1.0)
    ended_for: float = values.seconds(3 * 24 * 3600, "logging.ended-for")
    ended_size_of_service: Quantity = values.quantity(quantities.parse("20Mi"), "logging.ended-size-of-service")
    ended_size: Quantity = values.quantity(quantities.parse("1Gi"), "logging.ended-size")

    @property
    def collector(self) -> Collector | None:
        """The collector that receives traces; None if tracing is off."""
        wanted = self.tracing_protocol == "grpc" and self.tracing_endpoint
        return _collector(self.tracing_endpoint) if wanted else None

    def problems(self) -> Iterator[Problem]:
        if self.tracing_protocol not in ("none", "grpc"):
            yield "tracing-protocol", f'must be "none" or "grpc", was "{self.tracing_protocol}"'
        if self.ended_for < 0:
            yield "logging.ended-for", f"must not be negative, was {self.ended_for:g}s"
        for key, size in (
            ("logging.ended-size-of-service", self.ended_size_of_service),
            ("logging.ended-size", self.ended_size),
        ):
            if size.amount < 0:
                yield key, f"must not be negative, was {size}"
        if not 0 <= self.tracing_sampling_rate <= 1:
            yield "tracing-sampling-rate", f"must be between 0 and 1, was {self.tracing_sampling_rate:g}"
        if self.tracing_endpoint and _collector(self.tracing_endpoint) is None:
            yield "tracing-endpoint", f'must be HOST:PORT or http://HOST:PORT, was "{self.tracing_endpoint}"'


def _collector(endpoint: str) -> Collector | None:
    url = urlsplit(endpoint if "//" in endpoint else f"//{endpoint}")
    try:
        port = url.port or _OTLP_PORT
    except ValueError:
        return None
    return Collector(url.hostname, port) if url.scheme in ("", "http") and url.hostname else None
