# SPDX-License-Identifier: Apache-2.0
"""docs/extensions.md shows the code of the example, and its tables the fields of the API."""

import dataclasses
import re
from pathlib import Path

import pytest

from tests.extension.example import EXAMPLE
from tidegate.extension import Extension, Resource

PAGE = (EXAMPLE.parents[1] / "docs" / "extensions.md").read_text()
MODULES = sorted((EXAMPLE / "tidegate_greetings").glob("*.py"))
LONGEST = 150  # lines of the example in all


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_the_page_shows_each_module_of_the_example(path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)

    assert path.read_text() in blocks


def test_the_page_shows_the_entry_point_of_the_example() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)

    assert block in (EXAMPLE / "pyproject.toml").read_text()


@pytest.mark.parametrize("record", [Extension, Resource])
def test_each_field_has_a_row(record: type) -> None:
    assert [field.name for field in dataclasses.fields(record) if f"| `{field.name}` |" not in PAGE] == []


def test_the_example_stays_short() -> None:
    files = [path for path in EXAMPLE.rglob("*") if path.suffix in (".py", ".toml", ".md")]

    assert sum(len(path.read_text().splitlines()) for path in files) < LONGEST
