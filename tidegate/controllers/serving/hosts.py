# SPDX-License-Identifier: Apache-2.0
"""The host names of a Route. Pure.

In: a Route, a tag, the configuration. Out: the names under which external clients, and this cluster, reach it. Called
by: `ingress` and `route_plan`. Rule: knative/serving pkg/reconciler/route/domains.
"""

from tidegate.model.config import Configs
from tidegate.model.names import LOCAL_DOMAIN
from tidegate.model.objects import Object, annotations, labels
from tidegate.model.text import syntax


class InvalidHost(Exception):
    """The configured template gives this Route no valid host name."""


def is_local(route: Object, configs: Configs) -> bool:
    """Whether only this cluster may reach the Route: by its label, or because its domain is the cluster's."""
    return configs.domain.domain_of(labels(route)) == LOCAL_DOMAIN


def public(route: Object, tag: str, configs: Configs) -> str:
    """The host under which external clients reach a Route, or a tag of it."""
    return _checked(
        configs.network.host(
            _named(route, tag, configs),
            route["metadata"]["namespace"],
            configs.domain.domain_of(labels(route)),
            labels=labels(route),
            annotations=annotations(route),
        )
    )


def local(route: Object, tag: str, configs: Configs) -> str:
    """The host under which this cluster reaches it."""
    return _checked(f"{_named(route, tag, configs)}.{route['metadata']['namespace']}.{LOCAL_DOMAIN}")


def shown(route: Object, tag: str, configs: Configs) -> str:
    """The host that users see: the public one; the local one if the Route is local."""
    return local(route, tag, configs) if is_local(route, configs) else public(route, tag, configs)


def local_aliases(host: str) -> list[str]:
    """The names that a client in this cluster may use for a local host."""
    short = host.removesuffix(f".{LOCAL_DOMAIN}")
    return [short, f"{short}.svc", host]


def _named(route: Object, tag: str, configs: Configs) -> str:
    return configs.network.tagged(route["metadata"]["name"], tag)


def _checked(host: str) -> str:
    """Rule and texts: k8s.io/apimachinery validation.IsFullyQualifiedDomainName."""
    for label in host.split("."):
        if rules := syntax.dns_1123_label(label):
            raise InvalidHost(
                f'domain name error: invalid domain name "{host}": url: Invalid value: "{label}": {rules[0]}'
            )
    return host
