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
from tidegate.model import field_errors, kinds, names
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
) -> Mapping[str, AnyPolicy]:
    """Tidegate's classes, which cannot be replaced, and those of installed packages.

    `usage` returns what the running instances of a revision use, `scraped` a metric that they report themselves.
    """
    context = context or PolicyContext()
    brought = {entry.name: entry.load()(context.of(entry.name)) for entry in entry_points(group=ENTRY_POINTS)}
    return {**brought, names.KPA: Kpa(), names.HPA: Hpa(usage, scraped)}


def check(kind: Kind, obj: Object, policies: Mapping[str, AnyPolicy], configs: Configs) -> None:
    """Raise `BadRequest` if the object's revision has annotations that its class does not accept."""
    path = _TEMPLATES.get(kind)
    if path is None:
        return
    revision = {"metadata": {}, **((spec(obj).get("template") or {}) if path else obj)}
    policy = policies.get(bounds.class_of(revision, configs))
    if isinstance(policy, Checking):
        found = list(policy.problems(annotations(revision)))
        if found:
            raise field_errors.rejection(list(field_errors.under(f"{path}metadata.annotations", found)))
