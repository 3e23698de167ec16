# SPDX-License-Identifier: Apache-2.0
"""One name, one meaning; tests are named after their subject; what travels together is a record."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = sorted(path for folder in ("tidegate", "plugins") for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted(path for path in ROOT.rglob("test_*.py") if not path.relative_to(ROOT).parts[0].startswith("."))

MOST_ARGUMENTS = 6  # beyond self

# First words of a test's name that hide its subject.
NO_SUBJECT = re.compile(
    "test_(its?|what|which|who|whose|whoever|they|them|their|those|these|that|this|one|how|whether|"
    "is|are|of|to|and|but|or|so|nor)_"
)

# The work that is left, by area: public class names that are defined twice, and folders and files whose tests have no
# subject. Make the lists shorter.
TWICE_YET = frozenset(
    {
        # API and client
        "Connection",
        "Server",
        # command line and bundles
    }
)

NO_SUBJECT_YET = frozenset(
    {
        # API
        # node
        # gateway
        "tests/gateway/test_gate_requests.py",
        # command line
    }
)


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    given = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return len(given) - bool(given and given[0].arg in ("self", "cls"))


def test_each_public_class_name_is_defined_once() -> None:
    defined = defaultdict[str, list[str]](list)
    for path in CODE:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined[node.name].append(name(path))

    twice = {name: paths for name, paths in defined.items() if len(paths) > 1 and name not in TWICE_YET}
    assert twice == {}


def test_no_function_takes_more_than_six_arguments() -> None:
    long = [
        f"{name(path)}:{function.lineno}: {function.name} takes {arguments(function)}"
        for path in CODE
        for function in functions(path)
        if arguments(function) > MOST_ARGUMENTS
    ]

    assert long == []


def test_each_test_is_named_after_its_subject() -> None:
    without = [
        f"{name(path)}:{function.lineno}: {function.name}"
        for path in TESTS
        if not any(name(path).startswith(entry) for entry in NO_SUBJECT_YET)
        for function in functions(path)
        if NO_SUBJECT.match(function.name)
    ]

    assert without == []
