# SPDX-License-Identifier: Apache-2.0
"""The release command of a deploy: its Pod, and the result of the deploy."""

from typing import Any

import pytest

from tidegate.cli.release import desired_pod, outcome
from tidegate.model.objects import Key

SHOP = Key("team", "shop")


def test_the_release_pod_runs_once_with_the_settings_of_the_next_revision() -> None:
    container = {
        "image": "tidegate.dev/bundle/shop@sha256:1",
        "name": "web",
        "command": ["serve"],
        "ports": [{"containerPort": 80}],
        "readinessProbe": {"httpGet": {}},
        "env": [{"name": "DATABASE", "value": "x"}],
        "envFrom": [{"secretRef": {"name": "keys"}}],
        "resources": {"limits": {"cpu": "1"}},
    }
    spec = {"containers": [container], "securityContext": {"runAsUser": 5}, "timeoutSeconds": 300}
    pod = desired_pod(SHOP, {"spec": spec}, ["./migrate", "--all"])

    assert pod["metadata"]["namespace"] == "team"
    assert pod["metadata"]["name"].startswith("shop-release-")
    assert pod["spec"] == {
        "securityContext": {"runAsUser": 5},
        "restartPolicy": "Never",
        "containers": [
            {
                "name": "release",
                "image": container["image"],
                "command": ["./migrate", "--all"],
                "env": [
                    {"name": "DATABASE", "value": "x"},
                    {"name": "K_SERVICE", "value": "shop"},
                    {"name": "K_CONFIGURATION", "value": "shop"},
                ],
                "envFrom": container["envFrom"],
                "resources": container["resources"],
            }
        ],
    }


def test_a_long_service_name_is_cut_in_the_name_of_the_release_pod() -> None:
    pod = desired_pod(Key("team", "s" * 63), {"spec": {"containers": [{}]}}, ["x"])

    assert len(pod["metadata"]["name"]) <= 63


@pytest.mark.parametrize(
    ("phase", "state", "failure"),
    [
        ("Pending", {}, None),
        ("Pending", {"waiting": {"reason": "ContainerCreating"}}, None),
        ("Running", {"running": {}}, None),
        ("Running", {"terminated": {"exitCode": 0}}, None),
        ("Succeeded", {"terminated": {"exitCode": 0}}, ""),
        ("Failed", {"terminated": {"exitCode": 3, "reason": "Error"}}, "Error, exit code 3"),
        ("Failed", {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}, "OOMKilled, exit code 137"),
        ("Pending", {"waiting": {"reason": "ContainerMissing", "message": "no program"}}, "no program"),
        ("Failed", {}, "it could not start"),
    ],
)
def test_a_release_command_fails_with_its_exit_code_or_the_reason_of_its_pod(
    phase: str, state: dict[str, Any], failure: str | None
) -> None:
    assert outcome({"status": {"phase": phase, "containerStatuses": [{"state": state}]}}) == failure
