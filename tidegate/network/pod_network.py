# SPDX-License-Identifier: Apache-2.0
"""The network of Pods: for each a network namespace with an address of its own.

In: the uid of a Pod. Out: a `NetworkNamespace`, the same one until `detach`, also under the next control plane. Called
by: the runtimes (attach, detach), `embedded.py` (starts and closes it), the gateway and the DNS part (the plan).

Making a namespace takes some 10 ms. So a few spare ones, with interface and address, are made in the background, and
`attach` only takes one of them. All work on the kernel is done in one thread (`host.py`).

`problem` says why Pods have no network here: Tidegate does not run as root, nftables is missing, or the kernel refuses
something. A network for users other than root (by slirp4netns or pasta) is not supported.
"""

import asyncio
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import structlog

from tidegate.kit.background import Background
from tidegate.kit.supervision import Supervisor, reason
from tidegate.network.errors import FirewallError, NetworkUnavailable, NoSubnet
from tidegate.network.numbers import Numbers
from tidegate.network.options import NetworkOptions, missing
from tidegate.network.plan import NetworkPlan

if TYPE_CHECKING:
    from tidegate.network.host import HostNetwork

SPARES = 4
"""Namespaces that are made before a Pod needs them."""

CHECK_EVERY, TRY_EVERY = 10.0, 60.0
"""Seconds between two checks that the host still has the addresses and rules, and between two tries from a Pod."""

_REFILL_SECONDS = 0.2  # from an `attach` to the next spare one: the Pod that starts needs the processors first
_ATTACH_SECONDS = 15.0
_log = structlog.get_logger("network")
T = TypeVar("T")


class NetworkNamespace(NamedTuple):
    """The namespace of one Pod. `path`: the file that it is mounted on. `address`: the Pod's IPv4 address."""

    path: Path
    address: str


class PodNetwork:
    """The network of one Tidegate. `plan`: None if there is none, for the reason in `problem`. Raises `NoSubnet` if the
    subnet that the user chose is in use."""

    def __init__(self, options: NetworkOptions) -> None:
        self._options = options
        self._thread = Background("pod network")
        self._host: HostNetwork | None = None
        self._pods: dict[str, int] = {}
        self._numbers = Numbers(0)
        self._spares: asyncio.Queue[int] = asyncio.Queue()
        self._waiting = 0  # calls of `attach` without a namespace
        self._is_set_up = asyncio.Event()
        self._is_wanted = asyncio.Event()
        self.plan: NetworkPlan | None = None
        self.problem = missing()
        """Why no Pod can have a network of its own; "" if Pods can."""
        if not self.problem:
            self._claim()

    @property
    def gateway(self) -> IPv4Address | None:
        """This host's address in the network; None without one."""
        return self.plan.gateway if self.plan is not None else None

    def start(self, supervisor: Supervisor) -> None:
        """Keep the network running, until the supervisor stops. Does nothing if there is none."""
        if self.plan is not None:
            supervisor.start(pod_network=self.run)
            supervisor.every(TRY_EVERY, pod_firewall=self.check)

    def listen(self, http: int, dns: int) -> None:
        """Lead the ports 80 and 53 of the gateway's address to these ports there. To be called once, before `run`."""
        from tidegate.network.host import HostNetwork  # loads pyroute2, which takes 0.2 s and 7 MB

        if self.plan is not None:
            self._host = HostNetwork(self.plan, self._options, http, dns)

    async def run(self) -> None:
        """Set the network up and keep it so, with some spare namespaces, until cancelled."""
        host = self._required()
        try:
            if not self._is_set_up.is_set():
                self._adopt(await self._call(host.set_up))
            while True:
                await self._refill(host)
                self.problem = ""
                if not await self._was_wanted() and await self._call(host.repair):
                    _log.warning("parts of the pod network had been removed; it is set up again")
        except (OSError, FirewallError) as error:
            self.problem = f"the network of pods cannot be set up: {reason(error)}"
            raise

    async def check(self) -> None:
        """Raise `FirewallError` if Pods do not reach the name server. To be called now and then."""
        await self._is_set_up.wait()
        host = self._required()
        if not await self._call(host.reaches_gateway):
            raise FirewallError(
                f"a firewall of this host drops packets of pods to {host.plan.gateway}: let it accept those of the "
                f"interfaces {host.plan.interfaces}*"
            )

    async def attach(self, pod: str) -> NetworkNamespace:
        """The namespace of that Pod; a new one if it has none. Raises `NetworkUnavailable`."""
        host = self._required()
        await self._in_time(self._is_set_up.wait())
        if pod not in self._pods:
            number = await self._spare()
            if pod in self._pods:  # by another call meanwhile
                self._spares.put_nowait(number)
            else:
                self._pods[pod] = number
                host.link(pod, number)
        return self._namespace(pod)

    def find(self, pod: str) -> NetworkNamespace | None:
        """The namespace of that Pod, if it has one."""
        return self._namespace(pod) if pod in self._pods else None

    async def detach(self, pod: str) -> None:
        """Remove the namespace of a Pod; does nothing if it has none. The Pod's processes have ended."""
        await self._detach([pod] if pod in self._pods else [])

    async def detach_others(self, pods: Collection[str]) -> None:
        """Do so for every Pod that is not in `pods`."""
        if self._host is not None:
            await self._in_time(self._is_set_up.wait())
            await self._detach(self._pods.keys() - set(pods))

    async def close(self) -> None:
        """Remove everything from this host. To be called once `run` has ended."""
        if self._host is not None:
            await self._call(self._host.close)

    def _claim(self) -> None:
        from tidegate.network import claims, links  # loads pyroute2

        try:
            self.plan = self._thread(lambda: claims.claim(self._options, links.used_subnets)).result()
            self._numbers = Numbers(self.plan.pods)
        except (OSError, NoSubnet) as error:
            if self._options.subnet is not None:
                raise
            self.problem = f"the network of pods cannot be set up: {reason(error)}"

    def _adopt(self, pods: Mapping[str, int]) -> None:
        self._pods = dict(pods)
        for number in pods.values():
            self._numbers.take(number)
        self._is_set_up.set()

    async def _refill(self, host: "HostNetwork") -> None:
        """Make a namespace for each caller that waits, and the spare ones, as far as there are addresses."""
        self._is_wanted.clear()
        while self._waiting or self._spares.qsize() < SPARES:
            number = self._numbers.next()
            if number is None:
                return
            try:
                made = await self._call(partial(host.add, number))
            except OSError:
                self._numbers.free([number])
                raise
            if made:
                self._spares.put_nowait(number)
                await asyncio.sleep(0)  # a caller that waits takes it
            else:
                self._numbers.free([number])

    async def _was_wanted(self) -> bool:
        """Wait for an `attach`; False if there was none for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CHECK_EVERY):
                await self._is_wanted.wait()
            if not self._waiting:
                await asyncio.sleep(_REFILL_SECONDS)
            return True
        return False

    async def _spare(self) -> int:
        if self._spares.empty() and self._numbers.exhausted:
            raise NetworkUnavailable("all addresses of the pods' subnet are in use")
        self._waiting += 1
        self._is_wanted.set()
        try:
            return await self._in_time(self._spares.get())
        finally:
            self._waiting -= 1

    async def _detach(self, pods: Collection[str]) -> None:
        if pods:
            host, numbers = self._required(), [self._pods.pop(pod) for pod in pods]
            await self._call(lambda: host.remove(numbers, pods))
            self._numbers.free(numbers)

    async def _in_time(self, work: Coroutine[Any, Any, T]) -> T:
        try:
            async with asyncio.timeout(_ATTACH_SECONDS):
                return await work
        except TimeoutError as error:
            raise NetworkUnavailable(self.problem or "the network of pods is not set up yet") from error

    def _namespace(self, pod: str) -> NetworkNamespace:
        host = self._required()
        return NetworkNamespace(host.path(pod), str(host.plan.address(self._pods[pod])))

    def _required(self) -> "HostNetwork":
        if self._host is None:
            raise NetworkUnavailable(self.problem or "the network of pods has no ports to lead to")
        return self._host

    async def _call(self, function: Callable[[], T]) -> T:
        return await asyncio.wrap_future(self._thread(function))


async def remove_pod_network(options: NetworkOptions) -> None:
    """Remove what a killed control plane left on this host. Does nothing if it left nothing."""
    if missing() or not options.record.exists():
        return
    from tidegate.network import host  # loads pyroute2

    await asyncio.to_thread(host.remove, options)
