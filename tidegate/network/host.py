# SPDX-License-Identifier: Apache-2.0
"""The Pod network in this host's kernel: namespaces, interfaces, routes and rules.

In: a `NetworkPlan` and `NetworkOptions`. Out: the kernel's state. Called by: `pod_network.py`, one call after the other
in one thread, because all calls block; `tidegate down` after a control plane was killed (`remove`).

Each namespace is mounted on the file `<number>` of the folder (4 hexadecimal digits); the symbolic link `<pod uid>`
leads to the file. These are the only record. After a crash, a link without a namespace and a namespace without a link
are removed.
"""

import errno
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path

from tidegate.network import claims, firewall, forwarding, iptables, links, namespaces
from tidegate.network.firewall import DNS, FirewallOptions
from tidegate.network.options import NetworkOptions
from tidegate.network.plan import NetworkPlan

_DIGITS = 4
_IPTABLES_EVERY = 6  # checks: it takes as long as all others together
_CONNECT_SECONDS = 1.0


class HostNetwork:
    """The network of one state folder. `http`, `dns`: the ports at the gateway's address (`FirewallOptions`)."""

    def __init__(self, plan: NetworkPlan, options: NetworkOptions, http: int, dns: int) -> None:
        self.plan = plan
        self._options = options
        self._folder = options.folder
        self._ports = (http, dns)
        self._installed = ""
        self._transit: Collection[str] = frozenset()
        self._checks = 0

    def set_up(self) -> Mapping[str, int]:
        """Prepare the host, and remove remains of a crash. Returns the numbers of the Pods that have a namespace."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for plan, folder in claims.orphans(self._options).items():
            _remove_all(plan, folder)
            claims.release(self._options, plan)
        self.repair()
        return self._sweep()

    def repair(self) -> bool:
        """Do again what another program has undone, e.g. `nft flush ruleset`. Returns whether anything was missing."""
        links.add_gateway(self.plan)
        transit = forwarding.enable(_note(self._options))
        added = self._checks % _IPTABLES_EVERY == 0 and iptables.accept(self.plan)
        self._checks += 1
        if transit == self._transit and self._installed and firewall.listing(self.plan) == self._installed:
            return added
        firewall.apply(self.plan, FirewallOptions(*self._ports, self._options.metadata, transit))
        self._transit, self._installed = transit, firewall.listing(self.plan)
        return True

    def add(self, number: int) -> bool:
        """Make the namespace of that number; False if the kernel has yet to remove the interface of an earlier one."""
        file = self._file(number)
        try:
            links.add_pod(self.plan, number, file)
        except OSError as error:
            namespaces.remove(file)
            if error.errno == errno.EEXIST:
                return False
            raise
        return True

    def reaches_gateway(self) -> bool:
        """Whether a Pod reaches the name server: no other firewall drops its packets."""
        namespace = next(self._folder.glob("[0-9a-f]" * _DIGITS), None)
        if namespace is None:
            return True
        with suppress(OSError), namespaces.entered(namespace), socket.socket() as client:
            client.settimeout(_CONNECT_SECONDS)
            client.connect((str(self.plan.gateway), DNS))
            return True
        return False

    def link(self, pod: str, number: int) -> None:
        """Give the namespace to a Pod. Takes some microseconds, so any thread may call it."""
        self.path(pod).symlink_to(self._file(number).name)

    def path(self, pod: str) -> Path:
        return self._folder / pod

    def remove(self, numbers: Collection[int], pods: Collection[str] = ()) -> None:
        """Remove namespaces, then the links of their Pods: after a crash between the two, the link leads nowhere."""
        for number in numbers:
            links.remove_route(self.plan, number)
            namespaces.remove(self._file(number))
        for pod in pods:
            self.path(pod).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove everything from the host, and give the subnet up."""
        _remove_all(self.plan, self._folder)
        if claims.release(self._options, self.plan) == 0:
            forwarding.restore(_note(self._options))

    def _sweep(self) -> Mapping[str, int]:
        pods = {}
        for path in self._folder.glob("*"):
            if path.is_symlink():
                if namespaces.is_mounted(path.resolve()):
                    pods[path.name] = int(path.resolve().name, 16)
                else:
                    path.unlink()
        unused = {int(path.name, 16) for path in self._folder.glob("[0-9a-f]" * _DIGITS)} - set(pods.values())
        self.remove(unused)
        known = {self.plan.interface(number) for number in pods.values()}
        for name in links.interfaces(self.plan.interfaces) - known:
            links.remove_interface(name)
        return pods

    def _file(self, number: int) -> Path:
        return self._folder / f"{number:0{_DIGITS}x}"


def remove(options: NetworkOptions) -> None:
    """Remove what a killed control plane left on this host. Does nothing if it left nothing."""
    plan = claims.claimed(options)
    if plan is not None:
        HostNetwork(plan, options, 0, 0).close()


def _remove_all(plan: NetworkPlan, folder: Path) -> None:
    for file in folder.glob("*"):
        if not file.is_symlink():
            namespaces.remove(file)
        file.unlink(missing_ok=True)
    for name in links.interfaces(plan.interfaces):
        links.remove_interface(name)
    iptables.remove(plan)
    firewall.remove(plan)
    links.remove_gateway(plan)


def _note(options: NetworkOptions) -> Path:
    return options.claims / "forwarding"
