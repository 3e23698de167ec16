# SPDX-License-Identifier: Apache-2.0
"""From a Pod's network to services: by name, without a port, also while the control plane restarts."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.platform import Platform, running, service
from tidegate.network import claims, firewall, links
from tidegate.network.options import NetworkOptions, missing
from tidegate.network.plan import NetworkPlan

pytestmark = [
    pytest.mark.flow,
    pytest.mark.needs("kubectl", "curl"),
    pytest.mark.skipif(bool(missing()) and not os.environ.get("CI"), reason=missing()),
]


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    """A Tidegate for one test: one of the tests kills it."""
    with running(tmp_path / "home") as platform:
        yield platform


def plan(platform: Platform) -> NetworkPlan:
    found = claims.claimed(NetworkOptions(Path(), platform.home / "network.json"))
    assert found is not None
    return found


def curl(platform: Platform, url: str, *options: str) -> str:
    """The response to a program in the network of a Pod, with a Pod's name server."""
    namespace = next((platform.home / "run" / "netns").glob("[0-9]*"))
    resolv_conf = platform.home / "resolv.conf"
    searches = "default.svc.cluster.local svc.cluster.local cluster.local"
    resolv_conf.write_text(f"nameserver {plan(platform).gateway}\nsearch {searches}\noptions ndots:5\n")
    script = 'mount --bind "$0" /etc/resolv.conf && exec curl --silent --show-error --max-time 20 "$@"'
    enter = ["nsenter", f"--net={namespace}", "unshare", "--mount", "sh", "-c", script, str(resolv_conf)]
    done = subprocess.run([*enter, *options, url], capture_output=True, text=True, timeout=60, check=False)
    return done.stdout or done.stderr


async def test_a_pod_reaches_services_by_name_without_a_port(platform: Platform) -> None:
    hidden = service("hidden", greeting="hush")
    hidden["metadata"]["labels"] = {"networking.knative.dev/visibility": "cluster-local"}
    tagged = service("shown")
    tagged["spec"]["traffic"] = [{"latestRevision": True, "percent": 100, "tag": "beta"}]
    platform.apply(hidden, tagged)
    for name in ("hidden", "shown"):
        await asyncio.to_thread(platform.wait_ready, name)
    address = platform.get("ksvc", "hidden")["status"]["address"]["url"]

    for url in (
        "http://hidden.default",
        "http://hidden.default.svc",
        "http://hidden.default.svc.cluster.local",
        address,
    ):
        assert curl(platform, url).split()[:2] == ["hush", "hidden-00001"], url
    assert curl(platform, "http://shown.default").split()[:2] == ["hello", "shown-00001"]
    assert curl(platform, "http://beta-shown.default.svc.cluster.local").split()[:2] == ["hello", "shown-00001"]
    assert curl(platform, "http://shown.default", "--http2-prior-knowledge").split()[:2] == ["hello", "shown-00001"]
    assert "Could not resolve host" in curl(platform, "http://absent.default")
    assert "connect" in curl(
        platform, platform.status()["urls"]["api"].replace("127.0.0.1", str(plan(platform).gateway))
    )
    metrics = platform.kubectl("get", "--raw", "/metrics")
    assert 'tidegate_dns_queries_total{result="answered"} 0.0' not in metrics
    assert 'tidegate_part_up{part="dns"} 1.0' in metrics

    # A name is found, and its service answers, while the control plane restarts.
    crash = asyncio.create_task(asyncio.to_thread(platform.crash))
    for _ in range(3):
        answer = await asyncio.to_thread(curl, platform, "http://shown.default.svc.cluster.local")
        assert answer.split()[:2] == ["hello", "shown-00001"]
    await crash
    assert curl(platform, "http://shown.default").split()[:2] == ["hello", "shown-00001"]


async def test_nothing_of_the_network_is_left_of_a_killed_tidegate(platform: Platform) -> None:
    before = plan(platform)
    platform.abandon()
    assert links.interfaces(before.interfaces)
    platform.stop()

    assert links.interfaces(before.interfaces) == set()
    assert firewall.listing(before) == ""
    assert list((platform.home / "run" / "netns").iterdir()) == []
    platform.start()
    assert plan(platform) == before
