# SPDX-License-Identifier: Apache-2.0
"""The page about the API lists every kind."""

import re
from pathlib import Path

import pytest

from tidegate.apiserver.endpoints import discovery
from tidegate.model import kinds
from tidegate.model.kinds import Kind

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "api.md").read_text()


@pytest.mark.parametrize("kind", [*kinds.BUILT_IN_KINDS, *discovery.REVIEWS], ids=str)
def test_every_kind_is_on_the_page_beside_its_group(kind: Kind) -> None:
    (row,) = [line for line in PAGE.splitlines() if line.startswith(f"| `{kind.api_version}` |")]

    assert re.search(rf"\b{kind.kind}\b", row)
