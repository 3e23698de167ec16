# SPDX-License-Identifier: Apache-2.0
"""Ingress -> `Routing`. Rule: networking.internal.knative.dev/v1alpha1 IngressSpec.

In: an admitted Ingress. Out: its rules as records, with the paths in the order in which they are matched. Called by:
the gateway.

Requests that ask for no tag, by their host or by a header, are mirrored (`model/mirroring.py`).
"""

from collections.abc import Collection, Sequence

import msgspec

from tidegate.model import mirroring, names
from tidegate.model.objects import Key, Object, annotations, spec
from tidegate.routing.table import Certificate, Mirror, PathRule, Routing, Rule, Split


def is_ours(ingress: Object) -> bool:
    """Whether this gateway serves the Ingress: its class is ours, or it has none."""
    named = next((annotations(ingress)[name] for name in names.INGRESS_CLASSES if name in annotations(ingress)), "")
    return named in ("", names.OUR_INGRESS_CLASS)


def routing(ingress: Object) -> Routing:
    seen: set[str] = set()
    namespace = ingress["metadata"].get("namespace", "")
    mirrors = [Mirror(Key(namespace, name), percent) for name, percent in mirroring.mirrors(ingress)]
    tagged = _tag_hosts(ingress) if mirrors else ()
    rules = [_rule(rule, seen, mirrors, tagged) for rule in spec(ingress).get("rules") or ()]
    return Routing(
        rules=tuple(rule for rule in rules if rule.hosts),
        redirects=spec(ingress).get("httpOption") == "Redirected",
        certificates=tuple(_certificate(entry) for entry in spec(ingress).get("tls") or ()),
    )


def _certificate(entry: Object) -> Certificate:
    hosts = tuple(host.lower() for host in entry.get("hosts") or ())
    return Certificate(hosts, Key(entry.get("secretNamespace", ""), entry.get("secretName", "")))


def _tag_hosts(ingress: Object) -> Collection[str]:
    """The hosts of tags, from the annotation that the Route writes."""
    try:
        by_tag = msgspec.json.decode(annotations(ingress).get(names.TAG_TO_HOST, "{}"), type=dict[str, list[str]])
    except msgspec.MsgspecError:
        return ()
    return {host for hosts in by_tag.values() for host in hosts}


def _rule(rule: Object, seen: set[str], mirrors: Sequence[Mirror], tagged: Collection[str]) -> Rule:
    """`seen`: the hosts of earlier rules; a later rule does not get them. `tagged`: hosts without mirroring."""
    named = [host.lower() for host in rule.get("hosts") or ()]
    hosts = tuple(host for host in dict.fromkeys(named) if host not in seen)
    seen.update(hosts)
    mirrored = () if any(host in tagged for host in named) else mirrors
    paths = [_path(path, mirrored) for path in (rule.get("http") or {}).get("paths") or ()]
    # The most specific path first, as the Ingress API requires: Envoy uses the first that matches.
    paths.sort(key=lambda path: (len(path.prefix), len(path.conditions)), reverse=True)
    return Rule(hosts, tuple(paths), local=rule.get("visibility") == "ClusterLocal")


def _path(path: Object, mirrors: Sequence[Mirror]) -> PathRule:
    matches = path.get("headers") or {}
    splits = tuple(_split(split) for split in path.get("splits") or ())
    answering = {split.revision for split in splits if split.percent}
    copied = () if names.TAG_HEADER in matches else mirrors
    return PathRule(
        splits=splits,
        prefix=path.get("path") or "/",
        conditions=tuple(sorted((name, match.get("exact", "")) for name, match in matches.items())),
        headers=_headers(path),
        host=path.get("rewriteHost") or "",
        mirrors=tuple(mirror for mirror in copied if answering != {mirror.revision}),
    )


def _split(split: Object) -> Split:
    name = Key(split.get("serviceNamespace", ""), split["serviceName"])
    return Split(name, int(split.get("percent") or 0), _headers(split))


def _headers(adding: Object) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((adding.get("appendHeaders") or {}).items()))
