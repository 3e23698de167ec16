# SPDX-License-Identifier: Apache-2.0
"""What an object gets where its author says nothing, as Knative's webhook fills it in.

In: a change, whose new object is decoded and is filled in place. Called by `model.admission` before validation. Rules:
knative/serving pkg/apis/serving/v1 *_defaults.go; of Kubernetes' own kinds, what Tidegate relies on.

| | on creation | on update |
| --- | --- | --- |
| template | filled | filled, unless it keeps the name its author chose: then it must be the same as before |
| template's enableServiceLinks | filled | left |
| Revision | filled | left |
| creator | who writes | left |
| lastModifier | who writes | who writes, if the spec changed |
"""

from collections.abc import Callable, Mapping

from tidegate.model import kinds, names
from tidegate.model.change import Change
from tidegate.model.defaulting import revision
from tidegate.model.kinds import Kind
from tidegate.model.objects import Object
from tidegate.model.text import quantities


def fill(kind: Kind, change: Change) -> None:
    """Give the new object of `change` its defaults."""
    if kind in _BY_KIND:
        _BY_KIND[kind](change)


def _service(change: Change) -> None:
    _template(change)
    _traffic(change.new["spec"], of_service=True)
    _author(change)


def _configuration(change: Change) -> None:
    _template(change)
    _own_author(change)


def _route(change: Change) -> None:
    _traffic(change.new["spec"], of_service=False)
    _own_author(change)


def _own_author(change: Change) -> None:
    """Of objects that users make themselves; one with an owner has its owner's authors."""
    if not change.new["metadata"].get("ownerReferences"):
        _author(change)


def _revision(change: Change) -> None:
    if change.old is None:
        revision.fill(change.new["spec"], {}, change.configs, creating=True)


def _pod_autoscaler(change: Change) -> None:
    annotations = change.new["metadata"].setdefault("annotations", {})
    scaler = annotations.setdefault(names.AUTOSCALING_CLASS, change.configs.autoscaler.pod_autoscaler_class)
    metric = {names.KPA: "concurrency", names.HPA: "cpu"}.get(scaler)
    if metric:
        annotations.setdefault(f"{names.AUTOSCALING}/metric", metric)


def _ingress(change: Change) -> None:
    for rule in change.new["spec"].get("rules") or ():
        rule.setdefault("visibility", "ExternalIP")
        for path in (rule.get("http") or {}).get("paths") or ():
            splits = path.get("splits") or []
            if len(splits) == 1 and not splits[0].get("percent"):
                splits[0]["percent"] = 100


def _pod(change: Change) -> None:
    if change.old is None and "spec" in change.new:
        spec = change.new["spec"]
        spec.setdefault("restartPolicy", "Always")
        spec.setdefault("terminationGracePeriodSeconds", 30)


def _secret(change: Change) -> None:
    change.new["type"] = change.new.get("type") or "Opaque"


def _resource_quota(change: Change) -> None:
    """Each limit gets its one spelling."""
    limits = (change.new.get("spec") or {}).get("hard") or {}
    limits.update({name: str(quantities.parse(written)) for name, written in limits.items()})


def _template(change: Change) -> None:
    """Fill the template of a Service or Configuration."""
    new, old = change.new, change.old
    chosen = _template_name(new)
    if not (old is not None and chosen and chosen == _template_name(old)):
        revision.fill(new["spec"]["template"]["spec"], new["metadata"], change.configs, creating=old is None)


def _template_name(obj: Object) -> str:
    found = (obj["spec"]["template"].get("metadata") or {}).get("name", "")
    return str(found)


def _traffic(spec: Object, *, of_service: bool) -> None:
    """Fill the targets; a Service without any sends all to its latest revision."""
    if of_service and not spec.get("traffic"):
        spec["traffic"] = [{"latestRevision": True, "percent": 100}]
    for target in spec.get("traffic") or ():
        target.setdefault("latestRevision", not target.get("revisionName"))
        target.setdefault("percent", 0)


def _author(change: Change) -> None:
    """Note who made the object, or changed what it wants."""
    if change.old is not None and change.old.get("spec") == change.new.get("spec"):
        return
    annotations = change.new["metadata"].setdefault("annotations", {})
    if change.old is None:
        annotations[names.CREATOR] = change.user
    annotations[names.LAST_MODIFIER] = change.user


_BY_KIND: Mapping[Kind, Callable[[Change], None]] = {
    kinds.SERVICE: _service,
    kinds.CONFIGURATION: _configuration,
    kinds.ROUTE: _route,
    kinds.REVISION: _revision,
    kinds.POD_AUTOSCALER: _pod_autoscaler,
    kinds.INGRESS: _ingress,
    kinds.POD: _pod,
    kinds.SECRET: _secret,
    kinds.RESOURCE_QUOTA: _resource_quota,
}
