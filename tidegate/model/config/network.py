# SPDX-License-Identifier: Apache-2.0
"""config-network: templates of hosts, schemes of URLs, and the duration of rollouts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from tidegate.model import names
from tidegate.model.config import values
from tidegate.model.config.values import Problem
from tidegate.model.text import literals, templates
from tidegate.model.text.templates import Template


def _domain_template(text: str) -> Template:
    template = templates.parse(text.strip(), ("Name", "Namespace", "Domain"), ("Annotations", "Labels"))
    _require_host(template.render({"Name": "foo", "Namespace": "bar", "Domain": "baz.com"}))
    return template


def _require_host(host: str) -> None:
    url = urlsplit(f"https://{host}")
    if not url.hostname:
        raise ValueError("gives no host name")
    if url.path not in ("", "/") or url.query or url.fragment:
        raise ValueError("gives more than a host name")


def _tag_template(text: str) -> Template:
    return templates.parse(text.strip(), ("Tag", "Name"))


def _whole_seconds(text: str) -> float:
    return float(literals.whole(text))


@dataclass(frozen=True, slots=True)
class NetworkConfig:
    """`http_protocol` is enabled, disabled or redirected; the TLS switches are enabled or disabled. `rollout_duration`
    is seconds, 0 for none."""

    ingress_class: str = values.text(names.OUR_INGRESS_CLASS)
    certificate_class: str = values.text("cert-manager.certificate.networking.knative.dev")
    domain_template: Template = values.setting(
        _domain_template("{{.Name}}.{{.Namespace}}.{{.Domain}}"), _domain_template
    )
    tag_template: Template = values.setting(_tag_template("{{.Tag}}-{{.Name}}"), _tag_template)
    rollout_duration: float = values.setting(0.0, _whole_seconds)
    http_protocol: str = values.choice("enabled", "disabled", "redirected")
    external_domain_tls: str = values.choice("disabled", "enabled")
    cluster_local_domain_tls: str = values.choice("disabled", "enabled")
    system_internal_tls: str = values.choice("disabled", "enabled")
    default_external_scheme: str = values.text("http")
    autocreate_cluster_domain_claims: bool = values.switch(False)

    def problems(self) -> Iterator[Problem]:
        if self.rollout_duration < 0:
            yield "rollout-duration", f"must not be negative, was {self.rollout_duration:g}"

    def host(
        self, name: str, namespace: str, domain: str, *, labels: Mapping[str, str], annotations: Mapping[str, str]
    ) -> str:
        """The host of a Route, or of a tag if `name` comes from `tagged`."""
        return self.domain_template.render(
            {"Name": name, "Namespace": namespace, "Domain": domain, "Labels": labels, "Annotations": annotations}
        )

    def tagged(self, name: str, tag: str) -> str:
        """The name of a Route's tag in hosts; without a tag, the name itself."""
        return self.tag_template.render({"Name": name, "Tag": tag}) if tag else name
