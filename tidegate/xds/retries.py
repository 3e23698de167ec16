# SPDX-License-Identifier: Apache-2.0
"""When Envoy tries again: while no instance has seen the request. Of those that an instance may have seen, the gate
repeats what may be repeated (docs/gate.md): here one limit would count for all reasons."""

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
