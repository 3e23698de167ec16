# SPDX-License-Identifier: Apache-2.0
"""The address and port of an instance, which its containers share.

In: a port from the pool, or the port of an adopted instance. Out: the endpoint that gateways and probes use. Called by:
`instance.py`, which has one; `container.py`, `port_guard.py`.
"""

from tidegate.node.ports import PortPool

LOOPBACK = "127.0.0.1"
"""The address of this host, and of an instance until its runtime reports another."""


class PortLease:
    """One port. `address`: the instance's, as its runtime reports it."""

    def __init__(self, ports: PortPool, port: int) -> None:
        self.address = LOOPBACK
        self.port = port or ports.take()
        self._ports = ports
        ports.keep(self.port)

    @property
    def endpoint(self) -> str:
        return f"{self.address}:{self.port}"

    def move(self) -> None:
        """Take another port, because another program has this one. This one stays taken, so that no other instance
        gets it."""
        self.port = self._ports.take()

    def is_of_another(self, port: int) -> bool:
        """Whether another instance has that port."""
        return port != self.port and self._ports.has(port)

    def replace(self, port: int) -> None:
        """The app listens on that port instead of $PORT."""
        self._ports.release(self.port)
        self._ports.keep(port)
        self.port = port

    def release(self) -> None:
        self._ports.release(self.port)
