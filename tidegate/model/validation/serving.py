# SPDX-License-Identifier: Apache-2.0
"""The rules of Services, Configurations, Routes and Revisions."""

from collections.abc import Iterator

from tidegate.model import autoscaling, mirroring, names
from tidegate.model.field_errors import FieldError, under
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object
from tidegate.model.text import differences
from tidegate.model.validation import metadata, traffic
from tidegate.model.validation import revision as revision_rules


def service(write: ObjectWrite) -> Iterator[FieldError]:
    new = write.new
    annotations = new["metadata"].get("annotations") or {}
    yield from under("metadata", _top_metadata(new))
    yield from under("metadata.annotations", metadata.rollout_duration(annotations))
    yield from under("metadata.annotations", mirroring.problems(annotations))
    yield from under("metadata.annotations", revision_rules.own_annotations(annotations))
    yield from under("spec.template", revision_rules.template(new["spec"]["template"], new["metadata"], write.configs))
    yield from under("spec.traffic", traffic.shares(new["spec"].get("traffic") or [], of_service=True))
    if write.old is not None:
        yield from under("metadata.annotations", metadata.creator_and_modifier(write.old, new))
        yield from under("spec.template", _same_name_same_template(write.old, new))


def configuration(write: ObjectWrite) -> Iterator[FieldError]:
    new = write.new
    yield from under("metadata", _top_metadata(new))
    yield from under("metadata.labels", metadata.owner_label(new["metadata"], names.SERVICE, "Service"))
    yield from under("spec.template", revision_rules.template(new["spec"]["template"], new["metadata"], write.configs))
    if write.old is not None:
        yield from _authors(write.old, new)
        yield from under("spec.template", _same_name_same_template(write.old, new))


def route(write: ObjectWrite) -> Iterator[FieldError]:
    new = write.new
    annotations = new["metadata"].get("annotations") or {}
    yield from under("metadata", _top_metadata(new))
    yield from under("metadata.labels", metadata.owner_label(new["metadata"], names.SERVICE, "Service"))
    yield from under("metadata.annotations", metadata.rollout_duration(annotations))
    yield from under("metadata.annotations", mirroring.problems(annotations))
    yield from under("spec.traffic", traffic.shares(new["spec"].get("traffic") or [], of_service=False))
    if write.old is not None:
        yield from _authors(write.old, new)


def revision(write: ObjectWrite) -> Iterator[FieldError]:
    new, old = write.new, write.old
    if old is not None and old.get("spec") != new["spec"]:
        details = differences.lines(old.get("spec"), new["spec"])
        yield FieldError("Immutable fields changed (-old +new)", ("spec",), details)
        return
    annotations = new["metadata"].get("annotations") or {}
    yield from under("metadata", metadata.name(new["metadata"]))
    found = autoscaling.problems(annotations, write.configs.autoscaler)
    yield from under("metadata.annotations", found)
    label = metadata.owner_label(new["metadata"], names.CONFIGURATION, "Configuration")
    yield from under("metadata.labels", label)
    if old is None:
        yield from under("spec", revision_rules.spec(new["spec"], write.configs))


def _top_metadata(obj: Object) -> Iterator[FieldError]:
    yield from metadata.name(obj["metadata"])
    annotations = obj["metadata"].get("annotations") or {}
    yield from under("annotations", autoscaling.misplaced(annotations))


def _authors(old: Object, new: Object) -> Iterator[FieldError]:
    if not new["metadata"].get("ownerReferences"):
        yield from under("metadata.annotations", metadata.creator_and_modifier(old, new))


def _same_name_same_template(old: Object, new: Object) -> Iterator[FieldError]:
    """A chosen revision name belongs to one template: a changed template needs another name."""
    before, after = old["spec"]["template"], new["spec"]["template"]
    chosen = (after.get("metadata") or {}).get("name")
    if chosen and chosen == (before.get("metadata") or {}).get("name") and before != after:
        message = "Saw the following changes without a name change (-old +new)"
        yield FieldError(message, ("metadata.name",), differences.lines(before, after))
