# SPDX-License-Identifier: Apache-2.0
"""One name, one meaning; tests are named after their subject; what travels together is a record."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CODE = sorted(path for folder in ("tidegate", "plugins", "examples") for path in (ROOT / folder).rglob("*.py"))
TESTS = sorted(path for path in ROOT.rglob("test_*.py") if not path.relative_to(ROOT).parts[0].startswith("."))

MOST_ARGUMENTS = 6  # beyond self

# Two versions of one app: the second is the next release of the first.
SECOND_VERSIONS = ("examples/hello-v2/",)

# First words of a test's name that hide its subject.
NO_SUBJECT = re.compile(
    "test_(its?|what|which|who|whose|whoever|they|them|their|those|these|that|this|one|how|whether|"
    "is|are|of|to|and|but|or|so|nor)_"
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


def defined_names(path: Path) -> Iterator[str]:
    """The public names that a module defines: its classes, type aliases and constants; a type variable of one letter is
    as conventional as `self`."""
    for node in ast.parse(path.read_text()).body:
        match node:
            case ast.ClassDef(name=defined):
                pass
            case ast.Assign(targets=[ast.Name(id=defined)]) | ast.AnnAssign(target=ast.Name(id=defined)):
                pass
            case _:
                continue
        if len(defined) > 1 and defined[0].isupper():
            yield defined


def imported_constants() -> set[tuple[str, str]]:
    """(module, constant) of every `from module import CONSTANT`: such a constant is read without its module's name."""
    return {
        (node.module, alias.name)
        for path in CODE
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if alias.name.isupper()
    }


def module(path: Path) -> str:
    return name(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def test_each_public_class_or_alias_or_imported_constant_is_defined_once() -> None:
    """A constant that others read as `module.CONSTANT` may have a namesake, since its module says what it is."""
    imported = imported_constants()
    defined = defaultdict[str, list[str]](list)
    for path in CODE:
        if name(path).startswith(SECOND_VERSIONS):
            continue
        for public in defined_names(path):
            if not public.isupper() or (module(path), public) in imported:
                defined[public].append(name(path))

    twice = {public: paths for public, paths in defined.items() if len(paths) > 1}
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
        for function in functions(path)
        if NO_SUBJECT.match(function.name)
    ]

    assert without == []
