# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator

import pytest

from tests.cli.world import World, world


@pytest.fixture(scope="module")
def tidegate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A served API for the tests of a module; each test creates objects with names of its own."""
    with world(tmp_path_factory.mktemp("home")) as running:
        yield running
