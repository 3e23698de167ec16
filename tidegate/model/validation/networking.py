# SPDX-License-Identifier: Apache-2.0
"""The rules of Ingresses, which the controllers write for the gateway."""

from collections.abc import Iterator, Sequence

from tidegate.model import mirroring
from tidegate.model.field_errors import FieldError, invalid, missing, under
from tidegate.model.object_write import ObjectWrite
from tidegate.model.objects import Object
from tidegate.model.text import syntax


def ingress(write: ObjectWrite) -> Iterator[FieldError]:
    obj = write.new
    yield from under("metadata.annotations", mirroring.problems(obj["metadata"].get("annotations") or {}))
    yield from under("spec", _ingress_spec(obj["spec"], obj["metadata"].get("namespace", "")))


def _ingress_spec(spec: Object, namespace: str) -> Iterator[FieldError]:
    if not spec:
        yield missing("")
        return
    rules = spec.get("rules") or []
    if not rules:
        yield missing("rules")
    for index, rule in enumerate(rules):
        yield from under(f"rules[{index}]", _rule(rule, namespace))
    for index, tls in enumerate(spec.get("tls") or ()):
        yield from under(f"tls[{index}].hosts", _hosts(tls.get("hosts") or ()))
        absent = [field for field in ("secretName", "secretNamespace") if not tls.get(field)]
        yield from under(f"tls[{index}]", [missing(field) for field in absent] if tls else [missing("")])
    option = spec.get("httpOption", "")
    if option not in ("", "Enabled", "Redirected"):
        yield invalid(option, "httpOption")


def _rule(rule: Object, namespace: str) -> Iterator[FieldError]:
    yield from under("hosts", _hosts(rule.get("hosts") or ()))
    paths = (rule.get("http") or {}).get("paths") or []
    if "http" not in rule:
        yield missing("http")
    elif not paths:
        yield missing("http.paths")
    for index, path in enumerate(paths):
        yield from under(f"http.paths[{index}]", _path(path, namespace))


def _hosts(hosts: Sequence[str]) -> Iterator[FieldError]:
    """The errors of hosts. A host has the form of DNS: letters of other scripts are A-labels ("xn--...")."""
    for index, host in enumerate(hosts):
        if rules := syntax.dns_1123_subdomain(host):
            yield invalid(host, f"[{index}]", ", ".join(rules))


def _path(path: Object, namespace: str) -> Iterator[FieldError]:
    splits = path.get("splits") or []
    if not splits:
        yield missing("splits")
        return
    for index, split in enumerate(splits):
        found = list(_split(split, namespace))
        if found:
            yield from under(f"splits[{index}]", found)
            return
    total = sum(split.get("percent", 0) for split in splits)
    if total != 100 and (len(splits) != 1 or total):
        yield FieldError(f"traffic split percentage must total to 100, but was {total}", ("splits",))


def _split(split: Object, namespace: str) -> Iterator[FieldError]:
    if not 0 <= split.get("percent", 0) <= 100:
        yield invalid(split["percent"], "percent")
    if not split["serviceNamespace"]:
        yield missing("serviceNamespace")
    elif split["serviceNamespace"] != namespace:
        yield FieldError("service namespace must match ingress namespace", ("serviceNamespace",))
    if not split["serviceName"]:
        yield missing("serviceName")
    if not split["servicePort"]:
        yield missing("servicePort")
