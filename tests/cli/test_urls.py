# SPDX-License-Identifier: Apache-2.0
"""URLs get the gateway's port unless it is the default port of the scheme."""

import pytest

from tidegate.cli.urls import hint, with_port
from tidegate.runfile import Endpoints


@pytest.mark.parametrize(
    ("url", "http", "shown"),
    [
        ("http://a.b.localhost", "http://127.0.0.1:8080", "http://a.b.localhost:8080"),
        ("http://a.b.localhost", "http://127.0.0.1:80", "http://a.b.localhost"),
        ("http://a.b.localhost:9000", "http://127.0.0.1:8080", "http://a.b.localhost:9000"),
        ("https://a.b.localhost", "http://127.0.0.1:8080", "https://a.b.localhost:8443"),
        ("http://a.b.svc.cluster.local", "http://127.0.0.1:8080", "http://a.b.svc.cluster.local:8081"),
    ],
)
def test_a_url_gets_the_port_of_its_scheme(url: str, http: str, shown: str) -> None:
    endpoints = Endpoints(
        http=http,
        https="https://127.0.0.1:8443",
        internal="http://127.0.0.1:8081",
        api="https://127.0.0.1:6443",
    )

    assert with_port(url, endpoints) == shown


def test_a_resolvable_host_needs_no_hint() -> None:
    assert hint("http://localhost:8080") == ""


def test_a_cluster_local_host_uses_the_internal_port_and_needs_no_hint() -> None:
    assert hint("http://hello.default.svc.cluster.local:8081") == ""


def test_a_service_without_a_url_needs_no_hint() -> None:
    assert hint("") == ""


def test_an_unresolvable_host_gets_a_hint() -> None:
    assert hint("http://hello.default.example.invalid:8080") == (
        "no name server resolves hello.default.example.invalid; other programs: "
        'http://127.0.0.1:8080 with the header "Host: hello.default.example.invalid"'
    )
