# SPDX-License-Identifier: Apache-2.0
"""Ingress -> `Routing`. Rule: networking.internal.knative.dev/v1alpha1 IngressSpec.

In: an Ingress that admission has let in. Out: its rules as records, paths in the order in which they are to be asked.
"""

from tidegate.model import names
from tidegate.model.objects import Key, Object, annotations, spec
from tidegate.routing.table import Certificate, Path, Routing, Rule, Split


def is_ours(ingress: Object) -> bool:
    """Whether this gateway serves it: by class, and one that names none is everybody's."""
    named = next((annotations(ingress)[name] for name in names.INGRESS_CLASSES if name in annotations(ingress)), "")
    return named in ("", names.OUR_INGRESS_CLASS)


def routing(ingress: Object) -> Routing:
    seen: set[str] = set()
    rules = [_rule(rule, seen) for rule in spec(ingress).get("rules") or ()]
    return Routing(
        rules=tuple(rule for rule in rules if rule.hosts),
        redirects=spec(ingress).get("httpOption") == "Redirected",
        certificates=tuple(_certificate(entry) for entry in spec(ingress).get("tls") or ()),
    )


def _certificate(entry: Object) -> Certificate:
    hosts = tuple(host.lower() for host in entry.get("hosts") or ())
    return Certificate(hosts, Key(entry.get("secretNamespace", ""), entry.get("secretName", "")))


def _rule(rule: Object, seen: set[str]) -> Rule:
    """`seen`: the hosts of earlier rules, which a later one does not get."""
    named = [host.lower() for host in rule.get("hosts") or ()]
    hosts = tuple(host for host in dict.fromkeys(named) if host not in seen)
    seen.update(hosts)
    paths = [_path(path) for path in (rule.get("http") or {}).get("paths") or ()]
    # The most particular first, as the Ingress API has it; Envoy takes the first that matches.
    paths.sort(key=lambda path: (len(path.prefix), len(path.conditions)), reverse=True)
    return Rule(hosts, tuple(paths), local=rule.get("visibility") == "ClusterLocal")


def _path(path: Object) -> Path:
    matches = path.get("headers") or {}
    return Path(
        splits=tuple(_split(split) for split in path.get("splits") or ()),
        prefix=path.get("path") or "/",
        conditions=tuple(sorted((name, match.get("exact", "")) for name, match in matches.items())),
        headers=_headers(path),
        host=path.get("rewriteHost") or "",
    )


def _split(split: Object) -> Split:
    name = Key(split.get("serviceNamespace", ""), split["serviceName"])
    return Split(name, int(split.get("percent") or 0), _headers(split))


def _headers(adding: Object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((adding.get("appendHeaders") or {}).items()))
