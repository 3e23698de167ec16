# SPDX-License-Identifier: Apache-2.0
"""Kinds and objects by the names that users type: `ksvc`, `services`, `service.serving.knative.dev`, `all`,
`ksvc/hello`. Pure."""

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tidegate.cli.failures import CommandFailure, Misuse
from tidegate.cli.served_kinds import ServedKinds
from tidegate.model.kinds import BUILT_IN_KINDS, Kind


class ObjectSelector(NamedTuple):
    """One object of a kind, or all of them. `name`: "" for all."""

    kind: Kind
    name: str = ""


def shown(kind: Kind, name: str) -> str:
    """An object as commands print it: "service.serving.knative.dev/hello"."""
    return f"{full(kind)}/{name}"


def full(kind: Kind) -> str:
    return f"{kind.singular}.{kind.group}" if kind.group else kind.singular


def kinds_of(word: str, kinds: ServedKinds) -> list[Kind]:
    """The kinds that a word names: one kind, or all kinds of a category; several words are separated by commas."""
    return [kind for part in word.split(",") for kind in _kinds_of(part, kinds)]


def _kinds_of(word: str, kinds: ServedKinds) -> list[Kind]:
    lowered = word.lower()
    found = (
        _named(lowered, BUILT_IN_KINDS)
        or _named(lowered, kinds.all)
        or [kind for kind in kinds.all if lowered in kind.categories]
    )
    if not found:
        raise CommandFailure(f'the server doesn\'t have a resource type "{word}"{_suggestion(lowered, kinds.all)}')
    return found


def _named(word: str, kinds: Iterable[Kind]) -> list[Kind]:
    """The first kind with that name."""
    for kind in kinds:
        if word in (kind.plural, kind.singular, kind.resource, full(kind), *kind.short_names):
            return [kind]
    return []


def _suggestion(word: str, kinds: Iterable[Kind]) -> str:
    """A kind with a similar name, as the end of an error message."""
    every = (name for kind in kinds for name in (kind.plural, kind.singular, *kind.short_names))
    close = difflib.get_close_matches(word, every, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def selected(arguments: Sequence[str], kinds: ServedKinds) -> list[ObjectSelector]:
    """The objects that `KIND [NAME ...]` or `KIND/NAME ...` names.

    | arguments       | objects             |
    | --- | --- |
    | ksvc            | all services        |
    | ksvc,rev        | all of both kinds   |
    | ksvc a b        | services a and b    |
    | ksvc/a rev/b    | one of each         |
    """
    if any("/" in argument for argument in arguments):
        return [_one(argument, kinds) for argument in arguments]
    word, *names = arguments
    found = kinds_of(word, kinds)
    if names and len(found) > 1:
        raise Misuse(f'names need one kind, and "{word}" stands for {len(found)}')
    return [ObjectSelector(found[0], name) for name in names] if names else [ObjectSelector(kind) for kind in found]


def _one(argument: str, kinds: ServedKinds) -> ObjectSelector:
    word, _, name = argument.partition("/")
    found = kinds_of(word, kinds)
    if not name or "/" in name or len(found) > 1:
        raise Misuse(f'"{argument}" is not KIND/NAME')
    return ObjectSelector(found[0], name)
