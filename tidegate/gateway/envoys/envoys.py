# SPDX-License-Identifier: Apache-2.0
"""All Envoys of one state folder. Several listen on the same ports, and the kernel spreads connections over them.

In: a folder for their files, sockets, and the requested ports. Out: one Envoy or several (`envoy.py`), which outlive
the control plane. The next one adopts an Envoy whose specification is unchanged, replaces an Envoy that can hand over,
and ends any other. Called by: `gateway/gateway.py`.
"""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tidegate.gateway import envoy_admin, module
from tidegate.gateway.envoys import ports, processes
from tidegate.gateway.envoys.envoy import Envoy, OnEnded, UntilIdle
from tidegate.gateway.envoys.ports import EnvoyError, EnvoyPorts
from tidegate.gateway.envoys.record import read_record
from tidegate.gateway.envoys.spec import BINARY, EnvoySpec
from tidegate.kit.clock import Clock
from tidegate.kit.native import NativeError

ACCESS_LOG = Path("access.log")
"""The access log of each Envoy, in its own folder, which is its working directory."""


@dataclass(frozen=True, slots=True)
class EnvoySockets:
    """`xds`: where the control plane serves configuration. `admin`: where each Envoy has its admin interface; there are
    as many Envoys."""

    xds: Path
    admin: tuple[Path, ...]


class Envoys:
    """The Envoys of a control plane. `run` keeps them running, and leaves them running if cancelled; `stop` ends them.
    The first has its files in `folder`, the others in its folders 2, 3, ...

    `requested`: the ports; 0 is any free port, and the same one at the next start. Raises an `EnvoyError` for anything
    that would make a start fail.
    """

    def __init__(self, folder: Path, sockets: EnvoySockets, requested: EnvoyPorts, clock: Clock) -> None:
        self._folder = folder.absolute()
        self._before = processes.find(self._folder)
        last = read_record(self._folder)
        self.ports = ports.choose(requested, last.ports if last is not None else None, self._ours(requested))
        library = gate_library()
        self.envoys = [
            Envoy(
                EnvoySpec(
                    number=number,
                    of=len(sockets.admin),
                    folder=self._folder / str(number) if number > 1 else self._folder,
                    ports=self.ports,
                    library=library,
                    xds_socket=sockets.xds.absolute(),
                    admin_socket=admin_socket.absolute(),
                ),
                clock,
            )
            for number, admin_socket in enumerate(sockets.admin, start=1)
        ]

    def _ours(self, requested: EnvoyPorts) -> Collection[int]:
        """The ports of our running Envoys. An Envoy whose record is lost may have any port, and it will be ended."""
        known = next(iter(processes.recorded(self._folder)), None)
        if known is not None:
            return known.ports
        return requested if self._before else ()

    async def run(self, on_ended: OnEnded, until_idle: UntilIdle) -> None:
        """Adopt or start the Envoys, and keep them running until cancelled."""
        running = processes.find(self._folder)
        for envoy in self.envoys:
            envoy.adopt(running)
        adopted = [process for envoy in self.envoys for process in envoy.processes]
        await processes.end_all(each for each in running if each not in adopted)
        for process, gateway in (self._before | running).items():
            if process not in adopted:
                on_ended(gateway)
        async with asyncio.TaskGroup() as group:
            for envoy in self.envoys:
                group.create_task(envoy.run(on_ended, until_idle), name=f"envoy {envoy.spec.number}")

    def replace(self, gateway: str) -> None:
        """Have another process take over from the gateway of that id, without losing a request."""
        for envoy in self.envoys:
            envoy.replace(gateway)

    @property
    def gateways(self) -> Collection[str]:
        """The ids of the Envoys that an earlier control plane has started."""
        return self._before.values()

    @property
    def access_logs(self) -> dict[Path, Path]:
        """The path of each Envoy's access log, which may not exist, and the Envoy's admin socket."""
        return {each.spec.folder / ACCESS_LOG: each.spec.admin_socket for each in self.envoys}

    async def drain(self) -> None:
        """Accept no connection any more. The Envoys run on until `stop`."""
        await asyncio.gather(*(_drain(envoy.spec.admin_socket) for envoy in self.envoys))

    async def stop(self) -> None:
        """End the Envoys: SIGINT, and SIGKILL after 5 seconds. Not while `run` runs, which would restart them."""
        await processes.end(self._folder)
        for envoy in self.envoys:
            envoy.reap()


async def _drain(admin_socket: Path) -> None:
    """Close the listeners of an Envoy, so that its ports refuse connections, and each open connection after its next
    response. Does nothing if no Envoy answers."""
    with suppress(envoy_admin.EnvoyAdminError):
        for target in ("/healthcheck/fail", "/drain_listeners"):
            await envoy_admin.request(admin_socket, "POST", target)


def gate_library() -> Path:
    """The gate's shared library, which fits the Envoy that is installed."""
    try:
        library = module.GATE.path()
        module.check(BINARY)
    except (NativeError, OSError) as error:
        raise EnvoyError(str(error).partition("\n")[0]) from error
    return library
