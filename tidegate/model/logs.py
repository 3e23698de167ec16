# SPDX-License-Identifier: Apache-2.0
"""What a request for a container's log asks: the query of `GET /pods/NAME/log`."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class LogOptions:
    """`previous`: of the container's run before this one. `tail_lines`, `since` and `limit_bytes`: None for no bound;
    the first two choose where to begin, the last where to stop. `timestamps`: an RFC 3339 time before each line."""

    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    tail_lines: int | None = None
    since: datetime | None = None
    limit_bytes: int | None = None
