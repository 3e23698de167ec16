# SPDX-License-Identifier: Apache-2.0
import pytest

from tidegate.model import errors, names
from tidegate.model.config import Configs, Flag


def rejection(map_name: str, **data: str) -> errors.Invalid:
    with pytest.raises(errors.Invalid) as caught:
        Configs.parse({map_name: {key.replace("_", "-"): value for key, value in data.items()}})
    return caught.value


def test_missing_maps_have_all_defaults() -> None:
    assert Configs.parse({}) == Configs()
    assert Configs().autoscaler.stable_window == 60.0
    assert Configs().network.ingress_class == names.OUR_INGRESS_CLASS
    assert Configs().features.multi_container is Flag.ENABLED


def test_the_example_and_unknown_keys_are_ignored() -> None:
    assert Configs.parse({"config-autoscaler": {"_example": "stable-window: soon", "tick-interval": "2s"}}) == Configs()


def test_values_are_parsed_by_their_type() -> None:
    configs = Configs.parse(
        {
            "config-autoscaler": {"stable-window": "1m30s", "enable-scale-to-zero": "false", "max-scale": "5"},
            "config-features": {"kubernetes.podspec-fieldref": "allowed", "secure-pod-defaults": "AllowRootBounded"},
            "config-gc": {"retain-since-create-time": "disabled", "max-non-active-revisions": "Disabled"},
            "config-network": {"rollout-duration": "40", "http-protocol": "Redirected"},
            "config-deployment": {"registries-skipping-tag-resolving": "a.example, b.example"},
        }
    )

    assert (configs.autoscaler.stable_window, configs.autoscaler.max_scale) == (90.0, 5)
    assert not configs.autoscaler.enable_scale_to_zero
    assert configs.features.podspec_fieldref is Flag.ALLOWED
    assert configs.features.secure_pod_defaults is Flag.ALLOW_ROOT_BOUNDED
    assert (configs.gc.retain_since_create_time, configs.gc.max_non_active_revisions) == (None, None)
    assert (configs.network.rollout_duration, configs.network.http_protocol) == (40.0, "redirected")
    assert configs.deployment.registries_skipping_tag_resolving == {"a.example", "b.example"}


@pytest.mark.parametrize("written", ["70", "0.7"])
def test_a_utilization_is_a_fraction_in_either_notation(written: str) -> None:
    configs = Configs.parse({"config-autoscaler": {"container-concurrency-target-percentage": written}})

    assert configs.autoscaler.container_concurrency_target_percentage == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("config-autoscaler", "stable-window", "soon"),
        ("config-autoscaler", "stable-window", "5s"),
        ("config-autoscaler", "stable-window", "10.5s"),
        ("config-autoscaler", "max-scale-up-rate", "1"),
        ("config-autoscaler", "panic-window-percentage", "101"),
        ("config-autoscaler", "initial-scale", "0"),
        ("config-autoscaler", "max-scale", "3000000000"),
        ("config-autoscaler", "max-scale-limit", "-1"),
        ("config-autoscaler", "target-burst-capacity", "-2"),
        ("config-autoscaler", "requests-per-second-target-default", "NaN"),
        ("config-autoscaler", "enable-scale-to-zero", "yes"),
        ("config-autoscaler", "scale-to-zero-grace-period", "0s"),
        ("config-defaults", "revision-timeout-seconds", "601"),
        ("config-defaults", "revision-idle-timeout-seconds", "301"),
        ("config-defaults", "container-concurrency", "1001"),
        ("config-defaults", "revision-cpu-request", "much"),
        ("config-defaults", "container-name-template", "{{if .Name}}x{{end}}"),
        ("config-deployment", "progress-deadline", "0s"),
        ("config-domain", "example.com", "selector: {app: true}"),
        ("config-domain", "example.com", ": :"),
        ("config-features", "multi-container", "maybe"),
        ("config-gc", "min-non-active-revisions", "1001"),
        ("config-gc", "retain-since-create-time", "-1h"),
        ("config-images", "registry-mirrors", "docker.io"),
        ("config-images", "image-gc-high-threshold-percent", "101"),
        ("config-images", "image-gc-low-threshold-percent", "86"),
        ("config-images", "image-pull-progress-deadline", "0s"),
        ("config-images", "max-parallel-image-pulls", "0"),
        ("config-images", "image-minimum-gc-age", "-1s"),
        ("config-images", "image-maximum-gc-age", "-1s"),
        ("config-network", "rollout-duration", "-1"),
        ("config-network", "rollout-duration", "40s"),
        ("config-network", "domain-template", "{{.Name}}/{{.Namespace}}"),
        ("config-network", "domain-template", "{{.Tag}}"),
        ("config-network", "tag-template", '{{printf "%s" .Tag}}'),
        ("config-network", "http-protocol", "gopher"),
        ("config-gateway", "headers-with-underscores", "ignore"),
        ("config-gateway", "merge-slashes", "yes"),
        ("config-gateway", "escaped-slashes", "merge"),
        ("config-gateway", "trusted-hops", "-1"),
        ("config-gateway", "trusted-hops", "11"),
        ("config-gateway", "client-requests-per-second", "-1"),
        ("config-gateway", "client-requests-per-second", "0.5"),
    ],
)
def test_a_wrong_value_is_rejected_with_its_map_and_key(name: str, key: str, value: str) -> None:
    with pytest.raises(errors.Invalid) as caught:
        Configs.parse({name: {key: value}})

    assert name in caught.value.message
    assert caught.value.causes[0].field == f"data.{key}"


def test_every_wrong_value_of_a_map_is_reported() -> None:
    refused = rejection("config-autoscaler", max_scale_up_rate="x", stable_window="y")

    assert [cause.field for cause in refused.causes] == ["data.max-scale-up-rate", "data.stable-window"]


def test_a_shorter_timeout_also_limits_the_start_of_responses() -> None:
    configs = Configs.parse({"config-defaults": {"revision-timeout-seconds": "100"}})

    assert configs.defaults.revision_response_start_timeout_seconds == 100


def test_the_domain_with_the_most_matching_labels_wins_then_the_first_by_name() -> None:
    configs = Configs.parse(
        {
            "config-domain": {
                "example.com": "",
                "prod.example.com": "selector:\n  app: prod\n",
                "b.example.com": "selector:\n  app: prod\n  tier: x\n",
                "a.example.com": "selector:\n  app: prod\n  tier: x\n",
            }
        }
    )

    assert configs.domain.domain_of({}) == "example.com"
    assert configs.domain.domain_of({"app": "prod"}) == "prod.example.com"
    assert configs.domain.domain_of({"app": "prod", "tier": "x"}) == "a.example.com"
    assert configs.domain.domain_of({names.VISIBILITY: "cluster-local"}) == "svc.cluster.local"


def test_the_given_domain_is_used_without_a_domain_for_all() -> None:
    selected = {"config-domain": {"prod.example.com": "selector:\n  app: prod\n"}}

    assert Configs.parse(selected, domain="dev.example").domain.domain_of({}) == "dev.example"
    assert Configs().domain.domain_of({}) == "localhost"


def test_hosts_come_from_the_templates() -> None:
    network = Configs.parse(
        {
            "config-network": {
                "domain-template": '{{.Name}}-{{.Namespace}}.{{index .Annotations "sub"}}.{{.Domain}}',
                "tag-template": "{{.Name}}-{{.Tag}}",
            }
        }
    ).network

    name = network.tagged("hello", "blue")
    assert network.host(name, "ns", "example.com", labels={}, annotations={"sub": "x"}) == "hello-blue-ns.x.example.com"
    assert network.tagged("hello", "") == "hello"
