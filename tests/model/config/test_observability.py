# SPDX-License-Identifier: Apache-2.0
"""config-observability: request logs, traces, and rejected values."""

import pytest

from tidegate.model import errors
from tidegate.model.config import Configs
from tidegate.model.config.observability import Collector, ObservabilityConfig


def parsed(**data: str) -> ObservabilityConfig:
    keys = {key.replace("_", "-"): value for key, value in data.items()}
    return Configs.parse({"config-observability": keys}).observability


def test_logs_and_traces_are_off_by_default() -> None:
    assert (ObservabilityConfig().enable_request_log, ObservabilityConfig().collector) == (False, None)


def test_requests_are_logged_if_the_map_enables_it() -> None:
    maps = {"config-observability": {"logging.enable-request-log": "true", "metrics-protocol": "prometheus"}}
    assert Configs.parse(maps).observability.enable_request_log


@pytest.mark.parametrize(
    ("protocol", "endpoint", "collector"),
    [
        ("grpc", "collector:4318", Collector("collector", 4318)),
        ("grpc", "http://collector.example.com:4317", Collector("collector.example.com", 4317)),
        ("grpc", "collector", Collector("collector", 4317)),
        ("grpc", "", None),
        ("none", "collector:4317", None),
    ],
)
def test_traces_go_to_a_collector_over_grpc(protocol: str, endpoint: str, collector: Collector | None) -> None:
    assert parsed(tracing_protocol=protocol, tracing_endpoint=endpoint).collector == collector


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tracing_protocol", "http/protobuf"),
        ("tracing_endpoint", "https://collector"),
        ("tracing_endpoint", "collector:port"),
        ("tracing_sampling_rate", "1.5"),
        ("tracing_sampling_rate", "all"),
    ],
)
def test_an_invalid_value_is_rejected_with_its_key(key: str, value: str) -> None:
    with pytest.raises(errors.Invalid, match=key.replace("_", "-")):
        parsed(**{key: value})
