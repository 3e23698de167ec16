# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

from tidegate.model import names

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "autoscaling.md").read_text()


def test_every_test_that_the_page_names_is_there() -> None:
    written = "".join(path.read_text() for path in (ROOT / "tests" / "autoscaler").glob("test_*.py"))

    assert [name for name in re.findall(r"\btest_\w+", PAGE) if f"def {name}(" not in written] == []


def test_the_page_knows_our_classes() -> None:
    assert names.KPA in PAGE
