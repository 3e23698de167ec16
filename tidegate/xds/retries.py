# SPDX-License-Identifier: Apache-2.0
"""Envoy retries a request while no instance has received it. The gate retries other requests, where a retry is safe
(docs/gate.md): Envoy has only one limit for all reasons."""

from datetime import timedelta

from envoy.config.route.v3 import route_components_pb2
from google.protobuf.wrappers_pb2 import UInt32Value

RETRIES = route_components_pb2.RetryPolicy(
    retry_on="connect-failure,refused-stream,reset-before-request",
    num_retries=UInt32Value(value=100),
    retry_back_off=route_components_pb2.RetryPolicy.RetryBackOff(
        base_interval=timedelta(milliseconds=5), max_interval=timedelta(milliseconds=50)
    ),
)
