# SPDX-License-Identifier: Apache-2.0
"""The CPU and memory that a running instance uses. The node agent passes it to the autoscaler."""

from typing import NamedTuple


class Usage(NamedTuple):
    """The average of one instance over its last seconds."""

    cpu: float  # cores
    cpu_request: float  # cores that it requests; 0 for no request
    memory: int  # bytes
