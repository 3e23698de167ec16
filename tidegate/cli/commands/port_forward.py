# SPDX-License-Identifier: Apache-2.0
"""`tidegate port-forward`: ports of this machine that lead to a running instance."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import click

from tidegate.cli import options
from tidegate.cli.connection import connected, run
from tidegate.cli.failures import CommandFailure, Misuse
from tidegate.cli.options import Scope

_FORM = re.compile(r"(?:(\d{0,5}):)?(\d{1,5})", re.ASCII)
_LARGEST_PORT = 65535


class PortPair(NamedTuple):
    """A port of this machine (0: any free one), and the port of the instance that it leads to."""

    local: int
    remote: int


def parsed(text: str) -> PortPair:
    """LOCAL:REMOTE, REMOTE for the same port, :REMOTE for a free one."""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Misuse(f'"{text}" is not [LOCAL:]REMOTE, two ports')
    remote = int(found[2])
    pair = PortPair(remote if found[1] is None else int(found[1] or 0), remote)
    if not 0 < remote <= _LARGEST_PORT or pair.local > _LARGEST_PORT:
        raise Misuse(f'"{text}": a port is a number from 1 to {_LARGEST_PORT}')
    return pair


@click.command()
@click.argument("name", metavar="SERVICE|POD")
@click.argument("ports", metavar="[LOCAL:]REMOTE...", nargs=-1, required=True)
@options.scope
def port_forward(name: str, ports: Sequence[str], scope: Scope) -> None:
    """Forward ports of this machine to a running instance, until Ctrl-C.

    SERVICE stands for the newest ready instance of that service. REMOTE is the port that the app's spec names (8080 by
    default), or any other that the app listens on. LOCAL is on loopback; without a number (:8080) any free port."""
    run(_forward(name, [parsed(text) for text in ports], scope))


async def _forward(name: str, pairs: Sequence[PortPair], scope: Scope) -> None:
    from tidegate.cli import forwarding, instances
    from tidegate.client import sessions

    async with connected(scope.data_dir) as cluster:
        pod = await instances.chosen(cluster, scope.namespace, name)
        async with sessions.port_forward(cluster, pod) as connection:
            await forwarding.forward(connection, pod.name, pairs)
    raise CommandFailure(f"the connection to {pod.name} has ended: the instance or Tidegate has stopped")
