# SPDX-License-Identifier: Apache-2.0
"""The autoscaling annotations of a revision, read as Knative reads them.

In: a PodAutoscaler, which carries them. Out: numbers and seconds, None for an annotation that is not set. Admission
(`model.autoscaling`) rejects invalid values; an invalid value in an older object counts as not set.
"""

import re
from collections.abc import Callable
from typing import TypeVar

from tidegate.model import names
from tidegate.model.objects import Object, annotations
from tidegate.model.text import durations, literals

T = TypeVar("T")

_PREFIX = f"{names.AUTOSCALING}/"
_BITS = 32  # of a scale


class Annotations:
    """The `autoscaling.knative.dev/` annotations of one PodAutoscaler, by their name after the slash."""

    __slots__ = ("_given", "_progress_deadline")

    def __init__(self, pod_autoscaler: Object) -> None:
        given = annotations(pod_autoscaler)
        ours = {name.removeprefix(_PREFIX): text for name, text in given.items() if name.startswith(_PREFIX)}
        # Older manifests have camelCase names; if both spellings are set, the newer one counts.
        self._given = {_kebab_case(name): text for name, text in ours.items()} | ours
        self._progress_deadline = given.get(names.PROGRESS_DEADLINE)

    def text(self, name: str) -> str | None:
        return self._given.get(name)

    def number(self, name: str) -> float | None:
        return _read(literals.number, self._given.get(name))

    def whole(self, name: str) -> int | None:
        return _read(lambda text: literals.whole(text, _BITS), self._given.get(name))

    def seconds(self, name: str) -> float | None:
        return _read(durations.seconds, self._given.get(name))

    def progress_deadline(self) -> float | None:
        """In seconds; the only annotation with the prefix of Serving."""
        return _read(durations.seconds, self._progress_deadline)


def _read(read: Callable[[str], T], text: str | None) -> T | None:
    try:
        return None if text is None else read(text)
    except ValueError:
        return None


def _kebab_case(name: str) -> str:
    return re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", name)
