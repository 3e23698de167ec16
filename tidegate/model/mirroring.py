# SPDX-License-Identifier: Apache-2.0
"""The annotation that sends copies of a share of a Route's requests to other revisions. Their responses are discarded.

In: `tidegate.dev/mirror: "NAME=PERCENT,..."` of a Service, a Route or an Ingress. Out: percents by name. On a Service
and a Route, a name is a tag or a revision; on an Ingress it is a revision, because the Route has resolved it. Pure.
Called by: admission, the Route's controller, the gateway, the command line.
"""

from collections.abc import Iterator, Mapping, Sequence

from tidegate.model import names
from tidegate.model.field_errors import FieldError, invalid
from tidegate.model.objects import Object, annotations
from tidegate.model.text import syntax

_ALL = 100


def parsed(text: str) -> Mapping[str, int]:
    """Percents by name, in the order of the text; empty for empty text. Raises ValueError with a message for the
    author."""
    found: dict[str, int] = {}
    for part in text.split(",") if text.strip() else ():
        name, equals, percent = (piece.strip() for piece in part.partition("="))
        if not (equals and percent.isascii() and percent.isdigit() and len(percent) <= len(str(_ALL))):
            raise ValueError(f'"{part.strip()}" is not NAME=PERCENT')
        if int(percent) > _ALL:
            raise ValueError(f"{percent} percent is more than {_ALL}")
        if syntax.dns_1123_label(name):
            raise ValueError(f'"{name}" is not a name of a tag or a revision')
        if name in found:
            raise ValueError(f'"{name}" is named twice')
        found[name] = int(percent)
    return found


def mirrors(obj: Object) -> Sequence[tuple[str, int]]:
    """The mirrors of an object and their percents; empty for an invalid annotation, which admission rejects."""
    try:
        found = parsed(annotations(obj).get(names.MIRROR, ""))
    except ValueError:
        return ()
    return [(name, percent) for name, percent in found.items() if percent]


def annotation(percents: Mapping[str, int]) -> str:
    """The value of the annotation."""
    return ",".join(f"{name}={percent}" for name, percent in percents.items())


def problems(given: Mapping[str, str]) -> Iterator[FieldError]:
    """The error in the annotation, if it is set and invalid."""
    text = given.get(names.MIRROR, "")
    try:
        parsed(text)
    except ValueError as error:
        yield invalid(text, names.MIRROR, str(error))
