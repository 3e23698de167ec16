# SPDX-License-Identifier: Apache-2.0
"""Headers that Envoy adds to requests and responses."""

from collections.abc import Iterable

from envoy.config.core.v3 import base_pb2


def overwriting(headers: Iterable[tuple[str, str]]) -> list[base_pb2.HeaderValueOption]:
    """Set each header, in place of any header with the same name."""
    return [
        base_pb2.HeaderValueOption(
            header=base_pb2.HeaderValue(key=name, value=value),
            append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
        for name, value in headers
    ]
