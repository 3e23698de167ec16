# SPDX-License-Identifier: Apache-2.0
"""docs/flows.md leads to code that exists: each step links files and names their functions."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGE = (DOCS / "flows.md").read_text()
STEPS = re.compile(r"\[([\w/.]+)\]\(([\w/.]+)\)((?:,?\s+(?:and\s+)?`[\w.:]+`)*)")
LINKED = [(link, re.findall(r"`([\w.:]+)`", code)) for _, link, code in STEPS.findall(PAGE) if "/" in link]


def defined(path: Path) -> Iterator[str]:
    """The functions and classes of a file; methods with their class."""
    if path.suffix != ".py":
        yield from re.findall(r"\b([\w:]+)\(", path.read_text())
        return
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (*functions, ast.ClassDef)):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{member.name}" for member in node.body if isinstance(member, functions))


@pytest.mark.parametrize(("link", "names"), LINKED)
def test_a_step_names_functions_of_its_file(link: str, names: list[str]) -> None:
    path = DOCS / link

    assert path.is_file(), f"docs/flows.md links {link}, which does not exist"
    assert [name for name in names if name not in set(defined(path))] == []


def test_the_page_has_the_four_hand_overs_and_every_flow() -> None:
    assert re.findall(r"\*\*Hand-over (\d)\*\*", PAGE) == ["1", "2", "3", "4"]
    assert len(LINKED) > 70


HAND_OVERS = re.search(r"## Hand-overs\n(.*?)\n## ", (DOCS / "architecture.md").read_text(), flags=re.DOTALL)
METHODS = re.findall(r"`(\w+)\.(\w+)`", HAND_OVERS[1].partition("| --- |")[2]) if HAND_OVERS else []


@pytest.mark.parametrize(("owner", "method"), METHODS)
def test_a_hand_over_is_a_method(owner: str, method: str) -> None:
    found = [path for path in (DOCS.parent / "tidegate").rglob("*.py") if f"class {owner}" in path.read_text()]

    assert any(re.search(rf"def {method}\(|self\.{method} = ", path.read_text()) for path in found)
