# SPDX-License-Identifier: Apache-2.0
"""The node agent runs bundles: in their folder, with their environment."""

import shutil
import socket
from pathlib import Path

import pytest

from harness.node import is_ready, node, pod
from tests.bundles.world import APP, app, build
from tidegate.bundles.bundle import BundleError


async def test_the_agent_runs_a_bundle_in_its_folder_with_its_environment(tmp_path: Path) -> None:
    built = build(tmp_path, app(tmp_path / "app", **{"requirements.txt": ""}))
    shutil.rmtree(tmp_path / "app")
    async with node(tmp_path) as world:
        bundled = pod("app", image=built.image)
        del bundled["spec"]["containers"][0]["command"]
        await world.create(bundled)
        ready = await world.ready("app")

        assert is_ready(ready)
        assert await world.logs(ready) == f"{built.folder / 'env'} {built.source}\n"


async def test_a_command_of_the_container_replaces_the_procfiles(tmp_path: Path) -> None:
    folder = app(tmp_path / "app", **{"other.py": APP.replace("print(", "print('other', ")})
    (folder / "Procfile").write_text("worker: python app.py")
    (folder / "app.py").rename(folder / "worker.py")
    with pytest.raises(BundleError):
        build(tmp_path, folder)
    built = build(tmp_path, folder, needs_command=False)
    async with node(tmp_path) as world:
        await world.create(pod("app", "python3", image=built.image, args=["other.py"]))
        ready = await world.ready("app")
        assert (await world.logs(ready)).startswith("other ")
        with socket.create_connection(("127.0.0.1", int(ready["metadata"]["annotations"]["tidegate.dev/port"]))):
            pass
