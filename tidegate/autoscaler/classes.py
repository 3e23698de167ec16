# SPDX-License-Identifier: Apache-2.0
"""The autoscaling classes that are installed, by name, and the check of their annotations at admission.

In: the annotation `autoscaling.knative.dev/class` of a PodAutoscaler. Out: the `Policy` of that name, or none: then a
controller elsewhere is responsible for the object. A package brings a class by an entry point in the group
`tidegate.autoscalers`: the entry's name is the class, and its value is called with a `PolicyContext` and returns a
`Policy`.

Called by: `autoscaler.py` at the start, `tidegate simulate`.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import entry_points

from tidegate.autoscaler import bounds
from tidegate.autoscaler.hpa import Hpa
from tidegate.autoscaler.kpa import Kpa
from tidegate.autoscaler.policies import AnyPolicy, Checking, PolicyContext
from tidegate.autoscaler.scraper import Scraped
from tidegate.kit.supervision import reason
from tidegate.model import errors, field_errors, kinds, names
from tidegate.model.config import Configs
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key, Object, annotations, spec
from tidegate.model.usage import Usage

ENTRY_POINTS = "tidegate.autoscalers"

_TEMPLATES: Mapping[Kind, str] = {
    kinds.SERVICE: "spec.template.",
    kinds.CONFIGURATION: "spec.template.",
    kinds.REVISION: "",
    kinds.POD_AUTOSCALER: "",
}
"""The path to the metadata that a revision gets, or has."""


def installed(
    usage: Callable[[Key], Sequence[Usage]] = lambda revision: (),
    scraped: Callable[[Key, str], Scraped] = lambda revision, metric: Scraped(),
    context: PolicyContext | None = None,
    failed: Callable[[str, BaseException], None] = lambda name, error: None,
) -> Mapping[str, AnyPolicy]:
    """Tidegate's classes, which cannot be replaced, and those of installed packages.

    `usage` returns what the running instances of a revision use, `scraped` a metric that they report themselves.
    `failed` is called with the name of a class that cannot be loaded, and the error; the class is left out.
    """
    context = context or PolicyContext()
    brought: dict[str, AnyPolicy] = {}
    for entry in entry_points(group=ENTRY_POINTS):
        try:
            brought[entry.name] = _policy(entry.load()(context.of(entry.name)))
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            failed(entry.name, error)
    return {**brought, names.KPA: Kpa(), names.HPA: Hpa(usage, scraped)}


def _policy(made: AnyPolicy) -> AnyPolicy:
    """`made`, if it has the methods of a policy. Raises `TypeError`."""
    for method in ("spec_of", "initial", "decide"):
        if not callable(getattr(made, method, None)):
            raise TypeError(f"{type(made).__name__} has no method {method}")
    return made


def check(kind: Kind, obj: Object, policies: Mapping[str, AnyPolicy], configs: Configs) -> None:
    """Raise `BadRequest` if the object's revision has annotations that its class does not accept."""
    path = _TEMPLATES.get(kind)
    if path is None:
        return
    revision = {"metadata": {}, **((spec(obj).get("template") or {}) if path else obj)}
    policy = policies.get(bounds.class_of(revision, configs))
    if isinstance(policy, Checking):
        try:
            found = list(policy.problems(annotations(revision)))
        except (Exception, SystemExit) as error:  # foreign code may raise anything
            name = bounds.class_of(revision, configs)
            raise errors.BadRequest(f"the class {name} cannot check its annotations: {reason(error)}") from error
        if found:
            raise field_errors.rejection(list(field_errors.under(f"{path}metadata.annotations", found)))
