# SPDX-License-Identifier: Apache-2.0
"""The API for extensions: packages that add kinds, controllers and commands to Tidegate.

A package declares an entry point in the group `tidegate.extensions` whose value is an `Extension`:

    [project.entry-points."tidegate.extensions"]
    greetings = "tidegate_greetings:EXTENSION"

`tidegate up` loads it: the API serves its kinds like the built-in ones, and its controllers run under the supervisor.
`tidegate NAME` runs its commands. This module is the API for kinds and controllers. Commands also use
`connection`, `options` and `watching` of `tidegate.cli`. docs/extensions.md explains it by examples/extension.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import click

from tidegate.client.context import Context
from tidegate.client.informer import Informer
from tidegate.extension.controller import Controller
from tidegate.model.causes import duplicate, forbidden, invalid, required
from tidegate.model.columns import AGE, NAME, READY, Column, printed
from tidegate.model.conditions import Conditions
from tidegate.model.errors import Cause
from tidegate.model.kinds import Kind
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Key, Object
from tidegate.model.resource import CacheOptions, Resource, kubernetes_rules
from tidegate.model.schemas import kubernetes, language
from tidegate.model.schemas.types import ObjectType
from tidegate.reconcile.writer import ObjectWriter

__all__ = [
    "AGE",
    "NAME",
    "READY",
    "CacheOptions",
    "Cause",
    "Column",
    "Conditions",
    "Context",
    "Controller",
    "Extension",
    "Informer",
    "Key",
    "Kind",
    "Object",
    "ObjectWrite",
    "ObjectWriter",
    "Resource",
    "duplicate",
    "forbidden",
    "invalid",
    "kubernetes_rules",
    "printed",
    "require_all",
    "required",
    "schema",
]

ENTRY_POINTS = "tidegate.extensions"


def no_controllers(context: Context) -> Sequence[Controller]:
    """For an extension that only adds kinds or commands."""
    return ()


@dataclass(frozen=True, slots=True)
class Extension:
    """What one package adds. `controllers` is called once, when Tidegate starts, before anything is cached."""

    resources: Sequence[Resource] = ()
    controllers: Callable[[Context], Sequence[Controller]] = no_controllers
    commands: Sequence[click.Command] = ()

    def __post_init__(self) -> None:
        require_all("resources", self.resources, Resource)
        require_all("commands", self.commands, click.Command)


def require_all(field: str, values: Iterable[object], kind: type) -> None:
    """Raise `TypeError` if one of the values of a field is of another type."""
    for number, value in enumerate(values):
        if not isinstance(value, kind):
            raise TypeError(f"{field}[{number}] is not a {kind.__name__}: {value!r}")


def schema(kind: str, description: str, types: str) -> ObjectType:
    """The schema of a kind. `types`: the types `{kind}Spec` and `{kind}Status`, and the types that they use, in the
    notation of `model.schemas.language`; they may use Kubernetes' types, e.g. Condition and PodSpec."""
    return language.kind(kind, description, language.read(types, kubernetes.TYPES))
