# SPDX-License-Identifier: Apache-2.0
"""Registries that all tests of images share: they start once."""

from collections.abc import Iterator

import pytest

from harness import registry
from harness.registry import TestRegistry


@pytest.fixture(scope="session")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestRegistry]:
    """A registry without TLS and users, on a loopback address."""
    with registry.running(tmp_path_factory.mktemp("plain")) as running:
        yield running
