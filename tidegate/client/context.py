# SPDX-License-Identifier: Apache-2.0
"""The dependencies that every part shares. Built by the composition (`embedded.py`); each part takes one `Context`."""

from dataclasses import dataclass

from tidegate.client.cluster import Cluster
from tidegate.client.configs import LiveConfigs
from tidegate.client.events import Recorder
from tidegate.client.informers import Informers
from tidegate.kit.clock import Clock


@dataclass(frozen=True, slots=True)
class Context:
    """`cluster` acts in the name of the part's own user; the other fields are shared by all parts."""

    cluster: Cluster
    informers: Informers
    configs: LiveConfigs
    recorder: Recorder
    clock: Clock
