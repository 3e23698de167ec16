# SPDX-License-Identifier: Apache-2.0
"""One write, as defaults and rules see it."""

from typing import NamedTuple

from tidegate.model.config import Configs
from tidegate.model.objects import Object


class Change(NamedTuple):
    """`old` is None where the object is new. `new` is a copy of its own, which defaulting may fill."""

    new: Object
    old: Object | None
    user: str
    configs: Configs
