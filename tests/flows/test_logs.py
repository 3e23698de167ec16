# SPDX-License-Identifier: Apache-2.0
"""The log of an app stays readable after its last instance has exited."""

import pytest

from harness.platform import Platform, eventually, service

pytestmark = [pytest.mark.flow, pytest.mark.needs("kubectl")]


async def test_logs_survive_a_scale_to_zero_a_restart_and_the_deletion_of_the_service(platform: Platform) -> None:
    platform.apply(service("written", annotations={"autoscaling.knative.dev/window": "6s"}))
    platform.wait_ready("written")
    await eventually(lambda: not platform.pods("written-00001"), "scale to zero")

    shown = platform.cli("logs", "written")
    assert shown.stdout.startswith("written-00001 listens on ")
    assert "written has no instance now: these are the logs of the last instance, until " in shown.stderr

    platform.stop()
    platform.start()
    assert platform.cli("logs", "written").stdout == shown.stdout
    platform.cli("delete", "ksvc", "written")
    assert platform.cli("logs", "written").stdout == shown.stdout
