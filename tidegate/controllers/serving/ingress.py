# SPDX-License-Identifier: Apache-2.0
"""Route -> Ingress: which host is routed to which revisions, in the form that the gateway reads. Pure.

In: a Route, its resolved traffic, the shares of a rollout, the configuration. Out: the desired Ingress. The main host
and each tag have a rule for this cluster and, unless the Route is local, one for external clients. Called by:
`route_plan`. Rule: knative/serving pkg/reconciler/route/resources/ingress.go.
"""

import json
from collections.abc import Iterator, Mapping, Sequence

from tidegate.controllers.serving import hosts, rollout_state
from tidegate.controllers.serving.rollout import RevisionShare, Rollout
from tidegate.controllers.serving.targets import MAIN, TrafficTarget
from tidegate.controllers.serving.traffic import Traffic
from tidegate.model import mirroring, names
from tidegate.model.config import Configs, Flag
from tidegate.model.objects import Object, annotations, first_annotation, labels, owner_reference

REVISION_HEADER = "Knative-Serving-Revision"
NAMESPACE_HEADER = "Knative-Serving-Namespace"
DEFAULT_ROUTE_HEADER = "Knative-Serving-Default-Route"
_NOT_PASSED_ON = (names.LAST_APPLIED, names.MIRROR, names.CERTIFICATE_CLASSES[1], names.INGRESS_CLASSES[1])
_PORTS = {"http1": 80, "h2c": 81}
_HTTP_OPTIONS = {"enabled": "Enabled", "redirected": "Redirected"}


class InvalidOption(Exception):
    """The Route's annotation names an HTTP option that does not exist."""


def desired_ingress(route: Object, traffic: Traffic, shares: Rollout, configs: Configs) -> Object:
    """Raises `hosts.InvalidHost` and `InvalidOption`."""
    metadata = route["metadata"]
    option = http_option(route, configs)
    by_tag = _tag_hosts(route, traffic, configs)
    return {
        "apiVersion": "networking.internal.knative.dev/v1alpha1",
        "kind": "Ingress",
        "metadata": {
            "name": metadata["name"],
            "namespace": metadata["namespace"],
            "labels": {
                **labels(route),
                names.ROUTE: metadata["name"],
                names.ROUTE_NAMESPACE: metadata["namespace"],
            },
            "annotations": {
                **{name: value for name, value in annotations(route).items() if name not in _NOT_PASSED_ON},
                names.INGRESS_CLASS: first_annotation(route, names.INGRESS_CLASSES) or configs.network.ingress_class,
                names.ROLLOUT: rollout_state.dumped(shares),
                **({names.MIRROR: mirroring.annotation(traffic.mirrors)} if traffic.mirrors else {}),
                **({names.TAG_TO_HOST: json.dumps(by_tag, separators=(",", ":"))} if by_tag else {}),
            },
            "ownerReferences": [owner_reference(route)],
        },
        "spec": {
            **({"httpOption": option} if option else {}),
            "rules": list(_rules(route, traffic, shares, configs)),
        },
    }


def http_option(route: Object, configs: Configs) -> str:
    """Whether plain HTTP is served or redirected to HTTPS; "" if neither the Route nor the configuration says."""
    asked = first_annotation(route, names.HTTP_PROTOCOLS)
    if not asked:
        return _HTTP_OPTIONS.get(configs.network.http_protocol, "")
    if asked.lower() not in _HTTP_OPTIONS:
        raise InvalidOption(f"incorrect http-protocol annotation: {asked.lower()}")
    return _HTTP_OPTIONS[asked.lower()]


def _tag_hosts(route: Object, traffic: Traffic, configs: Configs) -> dict[str, list[str]]:
    external = [] if hosts.is_local(route, configs) else [hosts.public]
    host_makers = (hosts.local, *external)
    return {tag: [host(route, tag, configs) for host in host_makers] for tag in traffic.by_tag if tag != MAIN}


def _rules(route: Object, traffic: Traffic, shares: Rollout, configs: Configs) -> Iterator[Object]:
    for tag in traffic.by_tag:
        paths = list(_paths(route["metadata"]["namespace"], traffic, shares, tag, by_header=_by_header(configs)))
        inside = hosts.local_aliases(hosts.local(route, tag, configs))
        yield _rule(inside, paths, "ClusterLocal")
        if not hosts.is_local(route, configs):
            yield _rule([hosts.public(route, tag, configs)], paths, "ExternalIP")


def _by_header(configs: Configs) -> bool:
    return configs.features.tag_header_based_routing is Flag.ENABLED


def _rule(names_: Sequence[str], paths: Sequence[Object], visibility: str) -> Object:
    return {"hosts": list(names_), "http": {"paths": list(paths)}, "visibility": visibility}


def _paths(namespace: str, traffic: Traffic, shares: Rollout, tag: str, *, by_header: bool) -> Iterator[Object]:
    """One path for all requests; with routing by header, the main host has a path for each tag before it."""
    everything: Object = {"splits": list(_splits(namespace, traffic.by_tag[tag], shares, tag))}
    if not by_header:
        yield everything
    elif tag != MAIN:
        yield {"appendHeaders": {names.TAG_HEADER: tag}, **everything}
    else:
        for other in traffic.by_tag:
            if other != MAIN:
                splits = list(_splits(namespace, traffic.by_tag[other], shares, other))
                yield {"headers": {names.TAG_HEADER: {"exact": other}}, "splits": splits}
        yield {"appendHeaders": {DEFAULT_ROUTE_HEADER: "true"}, **everything}


def _splits(namespace: str, targets: Sequence[TrafficTarget], shares: Rollout, tag: str) -> Iterator[Object]:
    for target in targets:
        if target.percent:
            for share in shares_of(target, shares, tag):
                yield _split(namespace, share, _PORTS[target.protocol])


def shares_of(target: TrafficTarget, shares: Rollout, tag: str) -> tuple[RevisionShare, ...]:
    """The revisions that share a target's traffic: several while a rollout is in progress."""
    shift = shares.of(tag, target.configuration) if target.latest else None
    return (RevisionShare(target.revision, target.percent),) if shift is None or shift.done else shift.shares


def _split(namespace: str, share: RevisionShare, port: int) -> Object:
    headers: Mapping[str, str] = {REVISION_HEADER: share.revision, NAMESPACE_HEADER: namespace}
    return {
        "serviceName": share.revision,
        "serviceNamespace": namespace,
        "servicePort": port,
        "percent": share.percent,
        "appendHeaders": dict(headers),
    }
