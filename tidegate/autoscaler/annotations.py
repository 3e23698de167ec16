# SPDX-License-Identifier: Apache-2.0
"""What a user says of scaling in a revision's template annotations, read the way Knative reads it.

In: a PodAutoscaler, which carries them. Out: numbers and seconds, None where there is none. Admission has refused what
is out of range, so a value that does not parse here was there before; it counts as not given.
"""

import re

from tidegate.model import durations, names
from tidegate.model.objects import Object, annotations

_PREFIX = f"{names.AUTOSCALING}/"
_LARGEST_WHOLE = 2**31 - 1


class Annotations:
    """The `autoscaling.knative.dev/` annotations of one PodAutoscaler, asked by what follows the slash."""

    __slots__ = ("_given", "_progress_deadline")

    def __init__(self, pod_autoscaler: Object) -> None:
        given = annotations(pod_autoscaler)
        ours = {name.removeprefix(_PREFIX): text for name, text in given.items() if name.startswith(_PREFIX)}
        # Older manifests spell them in camelCase; where both are given the newer spelling counts.
        self._given = {_kebab_case(name): text for name, text in ours.items()} | ours
        self._progress_deadline = given.get(names.PROGRESS_DEADLINE)

    def text(self, name: str) -> str | None:
        return self._given.get(name)

    def number(self, name: str) -> float | None:
        try:
            return float(self.text(name) or "")
        except ValueError:
            return None

    def whole(self, name: str) -> int | None:
        try:
            value = int(self.text(name) or "")
        except ValueError:
            return None
        return value if abs(value) <= _LARGEST_WHOLE else None

    def seconds(self, name: str) -> float | None:
        return _seconds(self.text(name))

    def progress_deadline(self) -> float | None:
        """In seconds; the one annotation that is Serving's own."""
        return _seconds(self._progress_deadline)


def _seconds(text: str | None) -> float | None:
    try:
        return durations.seconds(text) if text is not None else None
    except ValueError:
        return None


def _kebab_case(name: str) -> str:
    return re.sub("[A-Z]", lambda capital: f"-{capital[0].lower()}", name)
