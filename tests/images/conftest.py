# SPDX-License-Identifier: Apache-2.0
"""Registries that all tests of images share: they start once."""

import socket
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from harness import registry
from harness.registry import TestRegistry


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRegistry]:
    """A registry without TLS and users, on a loopback address."""
    with registry.running(tmp_path_factory.mktemp("plain")) as running:
        yield running


@pytest.fixture
def own_address() -> str:
    """An address of this machine that is not a loopback address."""
    found = next(
        (each.address for addresses in psutil.net_if_addrs().values() for each in addresses if is_outer(each)), None
    )
    if found is None:
        pytest.skip("this machine has loopback addresses only")
    return found


def is_outer(address: Any) -> bool:
    return address.family == socket.AF_INET and not address.address.startswith("127.")
