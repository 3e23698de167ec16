# SPDX-License-Identifier: Apache-2.0
"""The defaults of Services, Configurations, Routes and Revisions (rule: knative/serving pkg/apis/serving/v1
*_defaults.go). The new object of a write is filled in place.

| | on creation | on update |
| --- | --- | --- |
| template | filled | filled, unless it has the same chosen name as before: then it must not change |
| template's enableServiceLinks | filled | unchanged |
| Revision | filled | unchanged |
| creator | the user who writes | unchanged |
| lastModifier | the user who writes | the user who writes, if the spec changed |
"""

from tidegate.model import names
from tidegate.model.defaulting import revision_spec
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object


def service(write: ObjectWrite) -> None:
    _template(write)
    _traffic(write.new["spec"], of_service=True)
    _author(write)


def configuration(write: ObjectWrite) -> None:
    _template(write)
    _own_author(write)


def route(write: ObjectWrite) -> None:
    _traffic(write.new["spec"], of_service=False)
    _own_author(write)


def _own_author(write: ObjectWrite) -> None:
    """Set the authors of an object without an owner; an object with an owner has the authors of its owner."""
    if not write.new["metadata"].get("ownerReferences"):
        _author(write)


def revision(write: ObjectWrite) -> None:
    if write.old is None:
        revision_spec.fill(write.new["spec"], {}, write.configs, creating=True)


def _template(write: ObjectWrite) -> None:
    """Fill the template of a Service or Configuration."""
    new, old = write.new, write.old
    chosen = _template_name(new)
    if not (old is not None and chosen and chosen == _template_name(old)):
        revision_spec.fill(new["spec"]["template"]["spec"], new["metadata"], write.configs, creating=old is None)


def _template_name(obj: Object) -> str:
    found = (obj["spec"]["template"].get("metadata") or {}).get("name", "")
    return str(found)


def _traffic(spec: Object, *, of_service: bool) -> None:
    """Fill the targets. A Service without targets sends all traffic to its latest revision."""
    if of_service and not spec.get("traffic"):
        spec["traffic"] = [{"latestRevision": True, "percent": 100}]
    for target in spec.get("traffic") or ():
        target.setdefault("latestRevision", not target.get("revisionName"))
        target.setdefault("percent", 0)


def _author(write: ObjectWrite) -> None:
    """Set the creator of a new object, and the last modifier of its spec."""
    if write.old is not None and write.old.get("spec") == write.new.get("spec"):
        return
    annotations = write.new["metadata"].setdefault("annotations", {})
    if write.old is None:
        annotations[names.CREATOR] = write.user
    annotations[names.LAST_MODIFIER] = write.user
