# SPDX-License-Identifier: Apache-2.0
"""The objects that Tidegate's parts write for each other: PodAutoscaler and Ingress."""

from collections.abc import Iterator, Sequence

from tidegate.model import autoscaling, mirroring
from tidegate.model.config import Configs
from tidegate.model.objects import Object
from tidegate.model.problems import Problem, invalid, missing, not_allowed, under
from tidegate.model.text import syntax
from tidegate.model.validation import metadata, revision

_PROTOCOLS = ("", "http1", "h2c")


def pod_autoscaler(obj: Object, configs: Configs) -> Iterator[Problem]:
    annotations = obj["metadata"].get("annotations") or {}
    yield from under("metadata", metadata.name(obj["metadata"]))
    yield from under("metadata.annotations", autoscaling.problems(annotations, configs.autoscaler))
    yield from under("spec", _pod_autoscaler_spec(obj["spec"], configs))


def _pod_autoscaler_spec(spec: Object, configs: Configs) -> Iterator[Problem]:
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


def _reference(reference: Object) -> Iterator[Problem]:
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


def ingress(obj: Object) -> Iterator[Problem]:
    yield from under("metadata.annotations", mirroring.problems(obj["metadata"].get("annotations") or {}))
    yield from under("spec", _ingress_spec(obj["spec"], obj["metadata"].get("namespace", "")))


def _ingress_spec(spec: Object, namespace: str) -> Iterator[Problem]:
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


def _rule(rule: Object, namespace: str) -> Iterator[Problem]:
    yield from under("hosts", _hosts(rule.get("hosts") or ()))
    paths = (rule.get("http") or {}).get("paths") or []
    if "http" not in rule:
        yield missing("http")
    elif not paths:
        yield missing("http.paths")
    for index, path in enumerate(paths):
        yield from under(f"http.paths[{index}]", _path(path, namespace))


def _hosts(hosts: Sequence[str]) -> Iterator[Problem]:
    """A host is in the form that DNS and certificates have: letters of other scripts as an A-label ("xn--...")."""
    for index, host in enumerate(hosts):
        if rules := syntax.dns_1123_subdomain(host):
            yield invalid(host, f"[{index}]", ", ".join(rules))


def _path(path: Object, namespace: str) -> Iterator[Problem]:
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
        yield Problem(f"traffic split percentage must total to 100, but was {total}", ("splits",))


def _split(split: Object, namespace: str) -> Iterator[Problem]:
    if not 0 <= split.get("percent", 0) <= 100:
        yield invalid(split["percent"], "percent")
    if not split["serviceNamespace"]:
        yield missing("serviceNamespace")
    elif split["serviceNamespace"] != namespace:
        yield Problem("service namespace must match ingress namespace", ("serviceNamespace",))
    if not split["serviceName"]:
        yield missing("serviceName")
    if not split["servicePort"]:
        yield missing("servicePort")
