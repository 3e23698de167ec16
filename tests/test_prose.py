# SPDX-License-Identifier: Apache-2.0
"""Texts use the field's words: a linter for the tics that CONTRIBUTING.md lists.

Checked: pages (without code), docstrings, comments (Python and C++), texts in the package's code (help, errors, log
events) and the names that the code defines, including test names. `QUOTED` has texts of other projects.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# A pattern for a tic, and the words to use instead. A space in a pattern matches any white space.
TICS = {
    r"(?:tells?|told|telling)": "report, log, return, notify, say which; for two things: distinguish",
    r"goes(?! (?:to|through|from|into|out|via|directly|on|by|away)\b)": "is deleted, expires, stops, goes through",
    r"gone(?! through\b)": "deleted, closed, exited, expired, missing",
    r"let go": "release, delete",
    r"(?:go|goes|going) (?:on|by|away)": "continue, keep; follow; disappear",
    r"who(?:so|m)?ever": "the caller, the client, the component, any X that",
    r"those (?:that|who|which|of which)": "name the noun: the revisions that",
    r"[Ww]hat (?:is|are)(?![^.]*\?)": "name the noun: the state, the limit, missing fields",
    r"[Ww]ho(?: asks)?:": "Called by:",
    r"anew": "again",
    r"once more": "again, retry",
    r"so many": "N, that many, at most N",
    r"of (?:which|whom)": "the normal order: X whose Y, which has",
    r"[Ll]ikewise": "the same way; in a table, repeat the cell",
    r"(?:wished|wishes for)": "desired, requested",
    r"shall": "must, will",
    r"lest": "so that ... not",
    r"for want of": "because X is missing",
    r"(?:where|if|when) nothing is said": "by default",
    r"such (?:that|as) (?:is|are|were)": "name the noun: files that are",
    r"in vain": "without success; say what was expected",
    r", as `¤+`(?=[.,;:)])": "e.g.",
}
PATTERNS = [
    (re.compile((r"(?<![\w-])" if tic[0] != "," else "") + tic.replace(" ", r"\s+") + r"(?![\w'])"), say)
    for tic, say in TICS.items()
]
NAME_TICS = {"tell", "tells", "told", "goes", "gone", "whoever", "whomever", "anew", "likewise"}

# Texts of other projects, quoted to the letter.
QUOTED: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that people read, and the line where it begins."""

    line: int
    text: str


def sources() -> Iterator[Path]:
    """The texts of the repository that people read."""
    yield from sorted(ROOT.glob("*.md"))
    yield ROOT / "hatch_build.py"
    for folder in ("docs", "tidegate", "plugins", "tests", "harness", "bench", "examples", "gate", "launcher"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in (".py", ".md", ".cc", ".h") and path != Path(__file__):
                yield path


@cache
def findings(path: Path) -> list[str]:
    """Each tic of a file: its place, the words and better ones."""
    source = path.read_text()
    if path.suffix == ".py":
        passages = [*python_passages(source, strings=path.relative_to(ROOT).parts[0] not in ("tests", "harness"))]
        names = [*tic_names(source)]
    else:
        passages = [*(page_passages(source) if path.suffix == ".md" else native_passages(source))]
        names = []
    found = [tic for passage in passages for tic in tics(passage)] + names
    return [f"{path.relative_to(ROOT)}:{line}: '{words}': say {say}" for line, words, say in sorted(found)]


def tics(passage: Passage) -> Iterator[tuple[int, str, str]]:
    """Line, words and better words of each tic in a passage."""
    if passage.text in QUOTED:
        return
    text = re.sub(r"`[^`\n]*`", lambda code: f"`{'¤' * (len(code[0]) - 2)}`", passage.text)
    for pattern, say in PATTERNS:
        for found in pattern.finditer(text):
            yield passage.line + text.count("\n", 0, found.start()), found[0], say


def page_passages(source: str) -> Iterator[Passage]:
    """A page without its blocks of code."""
    yield Passage(1, re.sub(r"^```.*?^```", lambda block: "\n" * block[0].count("\n"), source, flags=re.S | re.M))


def native_passages(source: str) -> Iterator[Passage]:
    """The comments of a C++ file."""
    lines = ((number, line.partition("// ")) for number, line in enumerate(source.splitlines(), 1))
    yield from joined((number, text) for number, (_, mark, text) in lines if mark)


def python_passages(source: str, *, strings: bool) -> Iterator[Passage]:
    """The comments and docstrings of a Python file; with `strings` its other texts of two words or more too."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    yield from joined((token.start[0], token.string[1:]) for token in tokens if token.type == tokenize.COMMENT)
    tree = ast.parse(source)
    if strings:
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.search(r"\w \w", node.value):
                yield Passage(node.lineno, node.value)
    else:
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                text = ast.get_docstring(node, clean=False)
                if text is not None:
                    yield Passage(node.body[0].lineno, text)


def joined(lines: Iterable[tuple[int, str]]) -> Iterator[Passage]:
    """Lines of comment that follow each other, as one passage."""
    begin, texts = 0, list[str]()
    for number, text in lines:
        if number != begin + len(texts):
            if texts:
                yield Passage(begin, "\n".join(texts))
            begin, texts = number, []
        texts.append(text)
    if texts:
        yield Passage(begin, "\n".join(texts))


def tic_names(source: str) -> Iterator[tuple[int, str, str]]:
    """Names that a Python file defines with a tic in them."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        else:
            continue
        for word in re.findall("[A-Z]?[a-z]+", name):
            if word.lower() in NAME_TICS:
                yield node.lineno, name, "a noun of the field, e.g. text, report, message, deleted, closed"


def test_texts_have_no_tics() -> None:
    found = [line for path in sources() for line in findings(path)]

    assert found == [], "\n".join(["", *found])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A caller is told the reason.", "told"),
        ("The Pod is\ngone.", "gone"),
        ("A request goes through Envoy.", None),
        ("What is supported? See below.", None),
        ("It prints what is missing.", "what is"),
        ("a label, as `app=hello`.", ", as `¤¤¤¤¤¤¤¤¤`"),
        ("kept, as `config-gc` says", None),
        ("the call `tell()` of a file", None),
    ],
)
def test_a_tic_is_found(text: str, words: str | None) -> None:
    assert [words for _, words, _ in tics(Passage(1, text))] == ([] if words is None else [words])


def test_a_finding_names_its_line() -> None:
    passages = python_passages('"""A module."""\n\n# First,\n# it is told.\n', strings=False)

    assert [(line, words) for passage in passages for line, words, _ in tics(passage)] == [(4, "told")]
