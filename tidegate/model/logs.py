# SPDX-License-Identifier: Apache-2.0
"""The options of a request for a container's log: the query of `GET /pods/NAME/log`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`previous`: the log of the previous run of the container. `tail_lines` and `since` choose the start,
    `limit_bytes` the end; None for no limit. `timestamps`: write an RFC 3339 time before each line."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    limit_bytes: int | None = None
