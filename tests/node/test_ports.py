# SPDX-License-Identifier: Apache-2.0
"""Ports: each instance has its own."""

import socket

import pytest

from tidegate.node.ports import NoPort, PortPool


def test_no_port_is_given_twice_while_it_is_taken() -> None:
    ports = PortPool(29000, 29010)
    ports.keep(29009)
    taken = [ports.take() for _ in range(9)]
    assert sorted(taken) == list(range(29000, 29009))
    with pytest.raises(NoPort):
        ports.take()
    ports.release(29004)
    assert ports.take() == 29004


def test_a_port_on_which_a_program_listens_is_not_chosen() -> None:
    with socket.create_server(("127.0.0.1", 29100)), pytest.raises(NoPort, match="29100"):
        PortPool(29100, 29101).take()


def test_ports_lie_below_the_range_of_outgoing_connections() -> None:
    with open("/proc/sys/net/ipv4/ip_local_port_range") as range_:  # noqa: PTH123
        first = int(range_.read().split()[0])
    assert all(PortPool().take() < max(first, 60000 if first < 11000 else first) for _ in range(20))
