# SPDX-License-Identifier: Apache-2.0
"""The rules of Kubernetes' own kinds, as far as Tidegate relies on them.

In: a write of an object. Out: causes in Kubernetes' words (k8s.io/kubernetes pkg/apis/core/validation), which become
one rejection (`resource.kubernetes_rules`).
"""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping, Sequence

from tidegate.model.causes import duplicate, forbidden, invalid, required
from tidegate.model.errors import Cause
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object
from tidegate.model.text import syntax
from tidegate.model.validation import pod_volumes, probes, resources

_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)
_BAD_KEY = (
    "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or "
    "'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
)
_MOST_BYTES = 1024 * 1024
_MOST_ID = _MOST_SECONDS = 2**31 - 1
_TLS = "kubernetes.io/tls"


def pod(write: ObjectWrite) -> Iterator[Cause]:
    """A Pod's spec is immutable, except that a node writes its name there, once."""
    spec, old = write.new.get("spec") or {}, write.old
    if old is not None:
        yield from _unchanged(spec, old.get("spec") or {})
        return
    containers = spec.get("containers") or []
    if not containers:
        yield required("spec.containers")
    yield from _ids(spec.get("securityContext") or {}, "spec.securityContext")
    yield from _times(spec)
    yield from pod_volumes.volumes(spec)
    named = {volume.get("name") for volume in spec.get("volumes") or ()}
    seen: set[str] = set()
    for field in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(field) or ()):
            yield from pod_volumes.mounts(container, f"spec.{field}[{index}]", named)
            yield from _container(container, f"spec.{field}[{index}]", seen)
            seen.add(container.get("name", ""))


def _container(container: Object, path: str, seen: set[str]) -> Iterator[Cause]:
    name = container.get("name", "")
    if not name:
        yield required(f"{path}.name")
    elif rules := syntax.dns_1123_label(name):
        yield invalid(name, f"{path}.name", ", ".join(rules))
    elif name in seen:
        yield duplicate(name, f"{path}.name")
    if not container.get("image"):
        yield required(f"{path}.image")
    yield from _ids(container.get("securityContext") or {}, f"{path}.securityContext")
    for field, value, why in resources.wrong(container.get("resources") or {}):
        yield invalid(value, f"{path}.resources.{field}", why)
    for probe in probes.ALL:
        for wrong in probes.wrong(probe, container.get(probe) or {}):
            yield invalid(wrong.value, f"{path}.{probe}.{wrong.field}", wrong.why)


def _times(spec: Object) -> Iterator[Cause]:
    """A negative grace period is rejected. Kubernetes accepts it and uses one second, which no author intends."""
    grace, deadline = spec.get("terminationGracePeriodSeconds"), spec.get("activeDeadlineSeconds")
    if grace is not None and grace < 0:
        yield invalid(grace, "spec.terminationGracePeriodSeconds", "must be greater than or equal to 0")
    if deadline is not None and not 1 <= deadline <= _MOST_SECONDS:
        yield invalid(deadline, "spec.activeDeadlineSeconds", f"must be between 1 and {_MOST_SECONDS}, inclusive")


def _ids(context: Object, path: str) -> Iterator[Cause]:
    named = [(field, context[field]) for field in ("runAsUser", "runAsGroup", "fsGroup") if field in context]
    groups = enumerate(context.get("supplementalGroups") or ())
    for field, number in (*named, *((f"supplementalGroups[{index}]", group) for index, group in groups)):
        if not 0 <= number <= _MOST_ID:
            yield invalid(number, f"{path}.{field}", f"must be between 0 and {_MOST_ID}, inclusive")


def _unchanged(spec: Object, old: Object) -> Iterator[Cause]:
    node = old.get("nodeName", "")
    if node and spec.get("nodeName", "") != node:
        yield forbidden("spec.nodeName", "a Pod stays on its node")
    if {**spec, "nodeName": node} != {**old, "nodeName": node}:
        yield forbidden("spec", "pod updates may not change fields other than `spec.nodeName`")


def event(write: ObjectWrite) -> Iterator[Cause]:
    new = write.new
    namespace = (new.get("involvedObject") or {}).get("namespace", "")
    if (namespace or "default") != new["metadata"].get("namespace", ""):
        yield invalid(namespace, "involvedObject.namespace", "does not match event.namespace")


def secret(write: ObjectWrite) -> Iterator[Cause]:
    new, old = write.new, write.old
    data = new.get("data") or {}
    sizes: dict[str, int] = {}
    for key, text in data.items():
        try:
            sizes[key] = len(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            yield Cause("FieldValueInvalid", "Invalid value: is not base64", f"data[{key}]")  # the value stays secret
    yield from _keys("data", data)
    yield from _size("data", sum(sizes.values()))
    if new["type"] == _TLS:
        yield from (required(f"data[{key}]") for key in ("tls.crt", "tls.key") if key not in data)
    if old is not None and old.get("type", "Opaque") != new["type"]:
        yield invalid(new["type"], "type", "field is immutable")
    yield from _immutable(new, old, ("data",))


def config_map(write: ObjectWrite) -> Iterator[Cause]:
    new, old = write.new, write.old
    data, binary = new.get("data") or {}, new.get("binaryData") or {}
    yield from _keys("data", data)
    yield from _keys("binaryData", binary)
    for key in data:
        if key in binary:
            yield invalid(key, f"data[{key}]", "duplicate of key present in binaryData")
    yield from _size("", sum(len(text.encode(errors="replace")) for text in (*data.values(), *binary.values())))
    yield from _immutable(new, old, ("data", "binaryData"))


def _keys(field: str, data: Mapping[str, str]) -> Iterator[Cause]:
    for key in data:
        if not _KEY.fullmatch(key) or key in (".", "..") or key.startswith("..."):
            yield invalid(key, f"{field}[{key}]", _BAD_KEY)


def _size(field: str, size: int) -> Iterator[Cause]:
    if size > _MOST_BYTES:
        yield Cause("FieldValueTooLong", f"Too long: may not be more than {_MOST_BYTES} bytes", field)


def _immutable(new: Object, old: Object | None, fields: Sequence[str]) -> Iterator[Cause]:
    if old is None or not old.get("immutable"):
        return
    if not new.get("immutable"):
        yield forbidden("immutable", "field is immutable when `immutable` is set")
    for field in fields:
        if (new.get(field) or {}) != (old.get(field) or {}):
            yield forbidden(field, "field is immutable when `immutable` is set")
