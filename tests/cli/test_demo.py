# SPDX-License-Identifier: Apache-2.0
"""Plots of the demo, and its limits for random shares. tests/flows/test_demo.py runs the whole demo."""

import asyncio
import os
import signal
import socket
import sys

import pytest

from tests.cli.world import pod
from tidegate.cli import examples
from tidegate.cli.demonstration import VERSIONS, address, is_fair
from tidegate.cli.failures import CommandFailure
from tidegate.cli.load import LoadConnection
from tidegate.cli.timeline import plot, ready_instances


@pytest.mark.parametrize(
    ("got", "total", "percent", "fair"),
    [(100, 1000, 10, True), (60, 1000, 10, True), (40, 1000, 10, False), (0, 1000, 10, False), (900, 1000, 90, True)],
)
def test_a_share_within_six_standard_deviations_is_fair(got: int, total: int, percent: int, fair: bool) -> None:
    assert is_fair(got, total, percent) is fair


@pytest.mark.parametrize(
    ("values", "width", "most", "plotted"),
    [
        ([], 10, 0, ""),
        ([0, 1, 2, 4], 10, 4, "·▂▄█"),
        ([0, 1], 10, 1, "·█"),
        ([1, 20], 10, 20, "▁█"),
        ([0, 0, 1, 0, 0, 0], 3, 1, "·█·"),
        ([0, 0, 0], 10, 0, "···"),
    ],
)
def test_a_plot_shows_the_highest_value_of_each_column(values: list[int], width: int, most: int, plotted: str) -> None:
    assert plot(values, width, most) == plotted


def test_only_ready_instances_count() -> None:
    assert ready_instances([pod("a", "1"), pod("a", "2", running=False)]) == {"a-00001": 1}


def test_a_url_becomes_an_address_on_this_machine() -> None:
    assert address("http://hello.default.localhost:8080") == (("127.0.0.1", 8080), "hello.default.localhost")


def test_a_missing_example_is_named() -> None:
    with pytest.raises(CommandFailure, match="the example nothing is not part of this installation"):
        examples.folder("nothing")


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_example_answers_on_its_port_and_exits_at_sigterm(version: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = examples.folder(version) / "app.py"
    environment = {**os.environ, "PORT": str(port), "K_REVISION": "hello-00007"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert f"listening on port {port}" in (await process.stdout.readline()).decode()

    connection = LoadConnection(("127.0.0.1", port), "h")
    first, second = await connection.get("/"), await connection.get("/?work=0.01")
    process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(process.wait(), 30) == 0
    assert (first.status, first.body.split()[-1], second.body) == (200, "hello-00007", first.body)
    connection.close()
