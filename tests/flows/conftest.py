# SPDX-License-Identifier: Apache-2.0
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.platform import Platform, running


@pytest.fixture(scope="module")
def platform(passable: Path) -> Iterator[Platform]:
    """One running Tidegate for the tests of a module; each test creates services with names of its own."""
    with running(Path(tempfile.mkdtemp(prefix="home-", dir=passable))) as platform:
        yield platform
