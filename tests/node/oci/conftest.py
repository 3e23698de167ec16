# SPDX-License-Identifier: Apache-2.0
"""Real containers by the OCI runtime of this host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from harness import oci
from harness.oci import OciWorld


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[OciWorld]:
    """Ends with nothing left."""
    made = oci.world(tmp_path)
    yield made
    await made.runtime.forget_others(())
