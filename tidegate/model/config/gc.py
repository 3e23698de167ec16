# SPDX-License-Identifier: Apache-2.0
"""config-gc: the number and age of inactive revisions that are kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from tidegate.model.config import values
from tidegate.model.config.values import Problem
from tidegate.model.text import durations, literals

T = TypeVar("T", int, float)


def _or_disabled(read: Callable[[str], T]) -> Callable[[str], T | None]:
    def reading(text: str) -> T | None:
        if text.strip().lower() == "disabled":
            return None
        value = read(text.strip())
        if value < 0:
            raise ValueError("must not be negative")
        return value

    return reading


@dataclass(frozen=True, slots=True)
class GCConfig:
    """Times are seconds; None if the value is "disabled"."""

    retain_since_create_time: float | None = values.setting(48 * 3600.0, _or_disabled(durations.seconds))
    retain_since_last_active_time: float | None = values.setting(15 * 3600.0, _or_disabled(durations.seconds))
    min_non_active_revisions: int = values.whole(20)
    max_non_active_revisions: int | None = values.setting(1000, _or_disabled(literals.whole))

    def problems(self) -> Iterator[Problem]:
        fewest, most = self.min_non_active_revisions, self.max_non_active_revisions
        if fewest < 0:
            yield "min-non-active-revisions", f"must not be negative, was {fewest}"
        elif most is not None and fewest > most:
            yield "min-non-active-revisions", f"must not exceed max-non-active-revisions {most}, was {fewest}"
