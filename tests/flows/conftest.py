# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator

import pytest

from tests.flows.platform import Platform


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One running Tidegate for the tests of a module; each test brings services of its own names."""
    running = Platform(tmp_path_factory.mktemp("home"))
    running.start()
    try:
        yield running
    finally:
        running.stop()
