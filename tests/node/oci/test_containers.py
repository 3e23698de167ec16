# SPDX-License-Identifier: Apache-2.0
"""Containers by a real OCI runtime: created, started, ended."""

import pytest

from harness.oci import OciWorld, pod, shell
from tidegate.node.runtime import ContainerExit

pytestmark = [pytest.mark.needs("root", "conmon", "runc", "busybox")]


async def test_a_container_runs_its_command_and_its_exit_code_is_known(world: OciWorld) -> None:
    app = pod(shell("echo hello; exit 7"))
    created = await world.create(app)
    running = await created.start()

    assert await running.ended() == ContainerExit(7, 0, "Error", "")
    assert world.log(app) == "hello\n"
    await running.kill()
