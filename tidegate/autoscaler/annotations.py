# SPDX-License-Identifier: Apache-2.0
"""What a user says of scaling in a revision's template annotations, read the way Knative reads it.

In: a PodAutoscaler, which carries them. Out: numbers and seconds, None where there is none. Admission has refused what
is out of range, so a value that does not parse here was there before; it counts as not given.
"""

from collections.abc import Mapping

from tidegate.model import durations, names
from tidegate.model.objects import Object, annotations

_LARGEST_WHOLE = 2**31 - 1


class Annotations:
    """The `autoscaling.knative.dev/` annotations of one PodAutoscaler, asked by what follows the slash."""

    __slots__ = ("_given",)

    def __init__(self, pod_autoscaler: Object) -> None:
        self._given: Mapping[str, str] = annotations(pod_autoscaler)

    def text(self, name: str) -> str | None:
        """Also by the camelCase spelling that older manifests use."""
        given = self._given.get(f"{names.AUTOSCALING}/{name}")
        return given if given is not None else self._given.get(f"{names.AUTOSCALING}/{_camel_case(name)}")

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
        return _seconds(self._given.get(names.PROGRESS_DEADLINE))


def _seconds(text: str | None) -> float | None:
    try:
        return durations.seconds(text) if text is not None else None
    except ValueError:
        return None


def _camel_case(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(word.capitalize() for word in rest)
