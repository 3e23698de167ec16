# SPDX-License-Identifier: Apache-2.0
"""The annotation by which a share of a Route's requests is also sent to other revisions, which nobody waits for.

In: `tidegate.dev/mirror: "NAME=PERCENT,..."` of a Service, a Route or an Ingress. Out: names and percents. On a Service
and a Route a name is that of a tag or of a revision; on an Ingress, to which the Route has resolved it, of a revision.
Pure; who: admission, the Route's controller, the gateway, the command line.
"""

from collections.abc import Iterator, Mapping, Sequence

from tidegate.model import names
from tidegate.model.field_errors import FieldError, invalid
from tidegate.model.objects import Object, annotations
from tidegate.model.text import syntax

_ALL = 100


def parsed(text: str) -> Mapping[str, int]:
    """Percents by name, in the order of the text; empty text names none. Raises ValueError with a sentence."""
    found: dict[str, int] = {}
    for part in text.split(",") if text.strip() else ():
        name, equals, percent = (piece.strip() for piece in part.partition("="))
        if not (equals and percent.isascii() and percent.isdigit() and len(percent) <= len(str(_ALL))):
            raise ValueError(f'"{part.strip()}" is not NAME=PERCENT')
        if int(percent) > _ALL:
            raise ValueError(f"{percent} percent are more than {_ALL}")
        if syntax.dns_1123_label(name):
            raise ValueError(f'"{name}" is no name of a tag or a revision')
        if name in found:
            raise ValueError(f'"{name}" is named twice')
        found[name] = int(percent)
    return found


def mirrors(obj: Object) -> Sequence[tuple[str, int]]:
    """Who is to get copies, and of how many requests; none of an object that admission would not let in."""
    try:
        found = parsed(annotations(obj).get(names.MIRROR, ""))
    except ValueError:
        return ()
    return [(name, percent) for name, percent in found.items() if percent]


def annotation(percents: Mapping[str, int]) -> str:
    """The annotation that says so."""
    return ",".join(f"{name}={percent}" for name, percent in percents.items())


def problems(given: Mapping[str, str]) -> Iterator[FieldError]:
    """What is wrong with the annotation, if it is there."""
    text = given.get(names.MIRROR, "")
    try:
        parsed(text)
    except ValueError as error:
        yield invalid(text, names.MIRROR, str(error))
