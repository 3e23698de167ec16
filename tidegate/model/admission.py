# SPDX-License-Identifier: Apache-2.0
"""What the API lets in, and how it is stored: every write of every kind passes here, once.

In: the object as its author wants it, on an update the old one, who asks, the ConfigMaps as they are now. Out: the
object with the types its schema says and its defaults, and warnings for its author; or `BadRequest` or `Invalid`, which
name the fields. Called by the API server's verbs, between reading the old version and storing the new one. Pure.

| | Knative's kinds | Kubernetes' own |
| --- | --- | --- |
| decode (`schemas`) | unknown and empty fields go | all stays but nulls |
| defaults | `defaulting` | `defaulting` |
| validation | `validation.serving`, `.internal` | `validation.core` |
| refusal | 400, in the words of Knative's webhook | 422, in those of Kubernetes |
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from tidegate.model import defaulting, errors, kinds, names, problems, schemas
from tidegate.model.change import Change
from tidegate.model.config import Configs
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object, is_deleting
from tidegate.model.problems import Problem
from tidegate.model.schemas import knative
from tidegate.model.validation import core, internal, quota, serving

_CONFIG_WEBHOOK = 'admission webhook "config.webhook.serving.knative.dev" denied the request: validation failed: '


class Request(NamedTuple):
    """Who writes what part of an object."""

    user: str
    subresource: str
    dry_run: bool


class Admitted(NamedTuple):
    """An object with its defaults, and what its author should know."""

    object: Object
    warnings: Sequence[str] = ()


def admit(kind: Kind, new: Object, old: Object | None, request: Request, configs: Configs) -> Admitted:
    """The object to store. Of a status update that is `new`, decoded: what is not its status is from the old one."""
    if request.subresource:
        return Admitted(schemas.decoded(kind, new))
    change = Change(defaulted(kind, new, old, request, configs), old, request.user, configs)
    return _check_knative(kind, change) if kind in knative.KINDS else _check_core(kind, change)


def defaulted(kind: Kind, new: Object, old: Object | None, request: Request, configs: Configs) -> Object:
    """What `new` is with its defaults, whether it may be stored or not."""
    decoded = schemas.decoded(kind, new)
    defaulting.fill(kind, Change(decoded, old, request.user, configs))
    return decoded


def _check_core(kind: Kind, change: Change) -> Admitted:
    causes = list(_CORE_RULES.get(kind, _no_causes)(change))
    if causes:
        raise core.refusal(kind, change.new, causes)
    if kind is kinds.CONFIG_MAP:
        _check_config(change.new)
    return Admitted(change.new, tuple(quota.warnings(change.new)) if kind is kinds.RESOURCE_QUOTA else ())


def _check_knative(kind: Kind, change: Change) -> Admitted:
    if change.old is not None and is_deleting(change.old):
        return Admitted(change.new)  # what goes must be able to lose its finalizers, whatever is allowed by now
    found = problems.merged(_RULES[kind](change))
    wrong = [problem for problem in found if not problem.warning]
    if wrong:
        raise problems.refusal(wrong)
    return Admitted(change.new, tuple(str(problem) for problem in found))


_RULES: Mapping[Kind, Callable[[Change], Iterable[Problem]]] = {
    kinds.SERVICE: serving.service,
    kinds.CONFIGURATION: serving.configuration,
    kinds.ROUTE: serving.route,
    kinds.REVISION: serving.revision,
    kinds.POD_AUTOSCALER: lambda change: internal.pod_autoscaler(change.new, change.configs),
    kinds.INGRESS: lambda change: internal.ingress(change.new),
}


def _no_causes(change: Change) -> Iterable[errors.Cause]:
    return ()


_CORE_RULES: Mapping[Kind, Callable[[Change], Iterable[errors.Cause]]] = {
    kinds.POD: lambda change: core.pod(change.new, change.old),
    kinds.EVENT: lambda change: core.event(change.new),
    kinds.SECRET: lambda change: core.secret(change.new, change.old),
    kinds.CONFIG_MAP: lambda change: core.config_map(change.new, change.old),
    kinds.RESOURCE_QUOTA: lambda change: quota.resource_quota(change.new),
}


def _check_config(config_map: Object) -> None:
    """One of the maps that tune Tidegate must parse."""
    name = config_map["metadata"].get("name", "")
    if config_map["metadata"].get("namespace") != names.SYSTEM_NAMESPACE or not name.startswith("config-"):
        return
    try:
        Configs.parse({name: config_map.get("data") or {}})
    except errors.Invalid as error:
        raise errors.BadRequest(_CONFIG_WEBHOOK + error.message, causes=error.causes) from error
