# SPDX-License-Identifier: Apache-2.0
"""What a running instance uses of its host: the record that the node agent hands to the autoscaler."""

from typing import NamedTuple


class Usage(NamedTuple):
    """One instance, over its last seconds."""

    cpu: float  # cores
    cpu_request: float  # cores that it asks for; 0 where it asks for none
    memory: int  # bytes
