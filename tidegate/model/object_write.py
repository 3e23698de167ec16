# SPDX-License-Identifier: Apache-2.0
"""One write of an object, as defaults and rules see it."""

from typing import NamedTuple

from tidegate.model.config import Configs
from tidegate.model.kinds import Kinds
from tidegate.model.objects import Object


class ObjectWrite(NamedTuple):
    """`new` is a copy that defaults may change in place. `old` is None for a new object. `user` writes it. `kinds`: all
    that the API serves."""

    new: Object
    old: Object | None
    user: str
    configs: Configs
    kinds: Kinds
