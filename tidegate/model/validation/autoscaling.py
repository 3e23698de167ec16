# SPDX-License-Identifier: Apache-2.0
"""The rules of PodAutoscalers, which the controllers write for the autoscaler."""

from collections.abc import Iterator

from tidegate.model import autoscaling
from tidegate.model.config import Configs
from tidegate.model.field_errors import FieldError, invalid, missing, not_allowed, under
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object
from tidegate.model.text import syntax
from tidegate.model.validation import metadata, revision

_PROTOCOLS = ("", "http1", "h2c")


def pod_autoscaler(write: ObjectWrite) -> Iterator[FieldError]:
    obj, configs = write.new, write.configs
    annotations = obj["metadata"].get("annotations") or {}
    yield from under("metadata", metadata.name(obj["metadata"]))
    yield from under("metadata.annotations", autoscaling.problems(annotations, configs.autoscaler))
    yield from under("spec", _pod_autoscaler_spec(obj["spec"], configs))


def _pod_autoscaler_spec(spec: Object, configs: Configs) -> Iterator[FieldError]:
    if not spec:
        yield missing("")
        return
    yield from under("scaleTargetRef", _reference(spec.get("scaleTargetRef") or {}))
    yield from revision.concurrency(spec.get("containerConcurrency", 0), configs)
    protocol = spec.get("protocolType", "")
    if not protocol:
        yield missing("protocolType")
    elif protocol not in _PROTOCOLS:
        yield invalid(protocol, "protocolType")


def _reference(reference: Object) -> Iterator[FieldError]:
    yield from not_allowed(reference, ("apiVersion", "kind", "name"))
    for field, rule in (
        ("apiVersion", syntax.qualified_name),
        ("kind", syntax.identifier),
        ("name", syntax.dns_1123_label),
    ):
        value = reference.get(field, "")
        if not value:
            yield missing(field)
        elif rules := rule(value):
            yield invalid(", ".join(rules), field)
