# SPDX-License-Identifier: Apache-2.0
"""Host names of Routes, and the URLs with them."""

from datetime import UTC, datetime

import pytest

from harness import make
from tidegate.controllers.serving import hosts
from tidegate.controllers.serving.ingress import InvalidOption, http_option
from tidegate.controllers.serving.route_plan import RouteInputs
from tidegate.model import names
from tidegate.model.config import Configs
from tidegate.model.objects import Object

NOW = datetime(2026, 1, 1, tzinfo=UTC)
CONFIGS = Configs.parse({"config-domain": {"example.com": "", "inner.org": "selector: {team: inner}"}})
LOCAL = make.route(labels={names.VISIBILITY: names.CLUSTER_LOCAL})


def test_a_route_has_a_public_host_and_one_in_the_cluster() -> None:
    route = make.route()

    assert hosts.public(route, "", CONFIGS) == "hello.default.example.com"
    assert hosts.public(route, "blue", CONFIGS) == "blue-hello.default.example.com"
    assert hosts.local(route, "blue", CONFIGS) == "blue-hello.default.svc.cluster.local"
    assert hosts.shown(LOCAL, "", CONFIGS) == "hello.default.svc.cluster.local"


def test_labels_choose_the_domain() -> None:
    assert hosts.public(make.route(labels={"team": "inner"}), "", CONFIGS) == "hello.default.inner.org"


def test_a_local_host_has_short_names() -> None:
    assert hosts.local_aliases("hello.default.svc.cluster.local") == [
        "hello.default",
        "hello.default.svc",
        "hello.default.svc.cluster.local",
    ]


@pytest.mark.parametrize("name", ["t" * 60, "Upper"])
def test_a_name_that_makes_an_invalid_host_is_rejected(name: str) -> None:
    with pytest.raises(hosts.InvalidHost, match="invalid domain name"):
        hosts.public(make.route(), name, CONFIGS)


@pytest.mark.parametrize(
    ("route", "port", "door", "url"),
    [
        (make.route(), None, "http", "http://hello.default.example.com"),
        (make.route(), 8080, "http", "http://hello.default.example.com:8080"),
        (make.route(), 8443, "https", "https://hello.default.example.com:8443"),
        (LOCAL, 8080, "http", "http://hello.default.svc.cluster.local"),
        (LOCAL, 8081, "internal", "http://hello.default.svc.cluster.local:8081"),
    ],
)
def test_a_url_has_the_gateways_port_unless_it_is_the_schemes_default(
    route: Object, port: int | None, door: str, url: str
) -> None:
    scheme = "https" if door == "https" else "http"
    configs = Configs.parse({"config-network": {"default-external-scheme": scheme}}, domain="example.com")

    assert RouteInputs(route, configs, lambda asked: port if asked == door else None, NOW).url("") == url


def test_the_http_option_comes_from_the_route_or_else_the_configuration() -> None:
    redirecting = Configs.parse({"config-network": {"http-protocol": "Redirected"}})
    asking = make.route(annotations={names.HTTP_PROTOCOLS[1]: "enabled"})

    assert http_option(make.route(), redirecting) == "Redirected"
    assert http_option(asking, redirecting) == "Enabled"
    with pytest.raises(InvalidOption, match="incorrect http-protocol annotation: gopher"):
        http_option(make.route(annotations={names.HTTP_PROTOCOLS[1]: "Gopher"}), redirecting)
