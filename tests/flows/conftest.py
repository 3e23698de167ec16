# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator

import pytest

from tests.flows.platform import Platform, running


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """One running Tidegate for the tests of a module; each test brings services of its own names."""
    with running(tmp_path_factory.mktemp("home")) as platform:
        yield platform
