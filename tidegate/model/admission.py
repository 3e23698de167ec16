# SPDX-License-Identifier: Apache-2.0
"""What the API lets in, and how it is stored: every write of every kind passes here, once.

In: the object as its author wants it, on an update the old one, who asks, the ConfigMaps as they are now. Out: the
object with the types its schema says and its defaults, and warnings for its author; or `BadRequest` or `Invalid`, which
name the fields. Called by the API server's verbs, between reading the old version and storing the new one. Pure.

| | Knative's kinds | Kubernetes' own |
| --- | --- | --- |
| decode (`schemas`) | unknown and empty fields go | all stays but nulls |
| defaults | `defaulting` | below |
| validation | `validation.revision`, `.traffic`, `.internal` | `validation.core` |
| refusal | 400, in the words of Knative's webhook | 422, in those of Kubernetes |
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tidegate.model import autoscaling, defaulting, differences, errors, kinds, names, problems, schemas
from tidegate.model.config import Configs
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object, is_deleting
from tidegate.model.problems import Problem, under
from tidegate.model.schemas import knative
from tidegate.model.validation import core, internal, metadata, revision, traffic

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


class Change(NamedTuple):
    """What one write would do. `old` is None where the object is new."""

    new: Object
    old: Object | None
    user: str
    configs: Configs


def admit(kind: Kind, new: Object, old: Object | None, request: Request, configs: Configs) -> Admitted:
    """The object to store. Of a status update that is `new`, decoded: what is not its status is from the old one."""
    if request.subresource:
        return Admitted(schemas.decoded(kind, new))
    change = Change(defaulted(kind, new, old, request, configs), old, request.user, configs)
    return _check_knative(kind, change) if kind in knative.KINDS else _check_core(kind, change)


def defaulted(kind: Kind, new: Object, old: Object | None, request: Request, configs: Configs) -> Object:
    """What `new` is with its defaults, whether it may be stored or not."""
    decoded = schemas.decoded(kind, new)
    _DEFAULTS.get(kind, _leave)(Change(decoded, old, request.user, configs))
    return decoded


def _check_core(kind: Kind, change: Change) -> Admitted:
    causes = list(_CORE_RULES.get(kind, _no_causes)(change))
    if causes:
        raise core.refusal(kind, change.new, causes)
    if kind is kinds.CONFIG_MAP:
        _check_config(change.new)
    return Admitted(change.new)


def _check_knative(kind: Kind, change: Change) -> Admitted:
    if change.old is not None and is_deleting(change.old):
        return Admitted(change.new)  # what goes must be able to lose its finalizers, whatever is allowed by now
    found = problems.merged(_RULES[kind](change))
    wrong = [problem for problem in found if not problem.warning]
    if wrong:
        raise problems.refusal(wrong)
    return Admitted(change.new, tuple(str(problem) for problem in found))


def _fill_service(change: Change) -> None:
    defaulting.template(change.new, change.old, change.configs)
    defaulting.traffic(change.new["spec"], of_service=True)
    defaulting.author(change.new, change.old, change.user)


def _fill_configuration(change: Change) -> None:
    defaulting.template(change.new, change.old, change.configs)
    _note_author(change)


def _fill_route(change: Change) -> None:
    defaulting.traffic(change.new["spec"], of_service=False)
    _note_author(change)


def _note_author(change: Change) -> None:
    """Of objects that users make themselves; one with an owner has its owner's authors."""
    if not change.new["metadata"].get("ownerReferences"):
        defaulting.author(change.new, change.old, change.user)


def _fill_revision(change: Change) -> None:
    if change.old is None:
        defaulting.revision(change.new["spec"], {}, change.configs, creating=True)


def _fill_pod_autoscaler(change: Change) -> None:
    annotations = change.new["metadata"].setdefault("annotations", {})
    scaler = annotations.setdefault(names.AUTOSCALING_CLASS, change.configs.autoscaler.pod_autoscaler_class)
    metric = {names.KPA: "concurrency", names.HPA: "cpu"}.get(scaler)
    if metric:
        annotations.setdefault(f"{names.AUTOSCALING}/metric", metric)


def _fill_ingress(change: Change) -> None:
    for rule in change.new["spec"].get("rules") or ():
        rule.setdefault("visibility", "ExternalIP")
        for path in (rule.get("http") or {}).get("paths") or ():
            splits = path.get("splits") or []
            if len(splits) == 1 and not splits[0].get("percent"):
                splits[0]["percent"] = 100


def _leave(change: Change) -> None:
    """A kind without defaults."""


def _fill_pod(change: Change) -> None:
    if change.old is None and "spec" in change.new:
        spec = change.new["spec"]
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", 30)


def _fill_secret(change: Change) -> None:
    change.new["type"] = change.new.get("type") or "Opaque"


_DEFAULTS: Mapping[Kind, Callable[[Change], None]] = {
    kinds.SERVICE: _fill_service,
    kinds.CONFIGURATION: _fill_configuration,
    kinds.ROUTE: _fill_route,
    kinds.REVISION: _fill_revision,
    kinds.POD_AUTOSCALER: _fill_pod_autoscaler,
    kinds.INGRESS: _fill_ingress,
    kinds.POD: _fill_pod,
    kinds.SECRET: _fill_secret,
}


def _check_service(change: Change) -> Iterator[Problem]:
    new = change.new
    annotations = new["metadata"].get("annotations") or {}
    yield from under("metadata", _top_metadata(new))
    yield from under("metadata.annotations", metadata.rollout_duration(annotations))
    yield from under("metadata.annotations", revision.own_annotations(annotations))
    yield from under("spec.template", revision.template(new["spec"]["template"], new["metadata"], change.configs))
    yield from under("spec.traffic", traffic.shares(new["spec"].get("traffic") or [], of_service=True))
    if change.old is not None:
        yield from under("metadata.annotations", metadata.creator_and_modifier(change.old, new))
        yield from under("spec.template", _same_name_same_template(change.old, new))


def _check_configuration(change: Change) -> Iterator[Problem]:
    new = change.new
    yield from under("metadata", _top_metadata(new))
    yield from under("metadata.labels", metadata.owner_label(new["metadata"], names.SERVICE, "Service"))
    yield from under("spec.template", revision.template(new["spec"]["template"], new["metadata"], change.configs))
    if change.old is not None:
        yield from _authors(change.old, new)
        yield from under("spec.template", _same_name_same_template(change.old, new))


def _check_route(change: Change) -> Iterator[Problem]:
    new = change.new
    annotations = new["metadata"].get("annotations") or {}
    yield from under("metadata", _top_metadata(new))
    yield from under("metadata.labels", metadata.owner_label(new["metadata"], names.SERVICE, "Service"))
    yield from under("metadata.annotations", metadata.rollout_duration(annotations))
    yield from under("spec.traffic", traffic.shares(new["spec"].get("traffic") or [], of_service=False))
    if change.old is not None:
        yield from _authors(change.old, new)


def _check_revision(change: Change) -> Iterator[Problem]:
    new, old = change.new, change.old
    if old is not None and old.get("spec") != new["spec"]:
        details = differences.lines(old.get("spec"), new["spec"])
        yield Problem("Immutable fields changed (-old +new)", ("spec",), details)
        return
    annotations = new["metadata"].get("annotations") or {}
    yield from under("metadata", metadata.name(new["metadata"]))
    found = autoscaling.problems(annotations, change.configs.autoscaler)
    yield from under("metadata.annotations", found)
    label = metadata.owner_label(new["metadata"], names.CONFIGURATION, "Configuration")
    yield from under("metadata.labels", label)
    if old is None:
        yield from under("spec", revision.spec(new["spec"], change.configs))


def _top_metadata(obj: Object) -> Iterator[Problem]:
    yield from metadata.name(obj["metadata"])
    annotations = obj["metadata"].get("annotations") or {}
    yield from under("annotations", autoscaling.misplaced(annotations))


def _authors(old: Object, new: Object) -> Iterator[Problem]:
    if not new["metadata"].get("ownerReferences"):
        yield from under("metadata.annotations", metadata.creator_and_modifier(old, new))


def _same_name_same_template(old: Object, new: Object) -> Iterator[Problem]:
    """A revision's name stands for one state: who changes the template must also change the name they chose."""
    before, after = old["spec"]["template"], new["spec"]["template"]
    chosen = (after.get("metadata") or {}).get("name")
    if chosen and chosen == (before.get("metadata") or {}).get("name") and before != after:
        told = "Saw the following changes without a name change (-old +new)"
        yield Problem(told, ("metadata.name",), differences.lines(before, after))


_RULES: Mapping[Kind, Callable[[Change], Iterable[Problem]]] = {
    kinds.SERVICE: _check_service,
    kinds.CONFIGURATION: _check_configuration,
    kinds.ROUTE: _check_route,
    kinds.REVISION: _check_revision,
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
