# SPDX-License-Identifier: Apache-2.0
"""The address and port of an instance, which its containers share.

In: the port of an adopted instance, or the port that the spec names. Out: the endpoint that gateways and probes use.
Called by: `instance.py`, which has one; `container.py`, `port_guard.py`.

| an instance | its port |
| --- | --- |
| with an address of its own | the one that its spec names |
| on loopback | one of the pool, because all instances and all programs of this host share the address |
"""

from tidegate.node.ports import PortPool

LOOPBACK = "127.0.0.1"
"""The address of this host, and of an instance until its runtime reports another."""


class PortLease:
    """One port. `address`: the instance's, as its runtime reports it; `pool`: None for an instance with an address of
    its own."""

    def __init__(self, pool: PortPool | None, port: int, address: str = LOOPBACK) -> None:
        self.address = address
        self.port = port or (pool.take() if pool is not None else 0)
        self._pool = pool
        if pool is not None:
            pool.keep(self.port)

    @property
    def endpoint(self) -> str:
        return f"{self.address}:{self.port}"

    @property
    def is_shared(self) -> bool:
        """Whether other programs of this host may take the port."""
        return self._pool is not None

    def move(self) -> None:
        """Take another port, because another program has this one. This one stays taken, so that no other instance
        gets it."""
        if self._pool is not None:
            self.port = self._pool.take()

    def is_of_another(self, port: int) -> bool:
        """Whether another instance has that port."""
        return self._pool is not None and port != self.port and self._pool.has(port)

    def replace(self, port: int) -> None:
        """The app listens on that port instead of $PORT."""
        if self._pool is not None:
            self._pool.release(self.port)
            self._pool.keep(port)
        self.port = port

    def release(self) -> None:
        if self._pool is not None:
            self._pool.release(self.port)
