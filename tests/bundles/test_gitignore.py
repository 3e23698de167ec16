# SPDX-License-Identifier: Apache-2.0
"""The files that are packed are the files that Git itself does not ignore."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.bundles.world import folder_of
from tidegate.bundles.source import Source, SourceError

pytestmark = pytest.mark.needs("git")

_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": "/usr/local/bin:/usr/bin:/bin"}


def kept_by_git(folder: Path) -> set[str]:
    subprocess.run(["git", "init", "-q", folder], check=True, env=_GIT)
    asked = ["git", "-C", str(folder), "ls-files", "-z", "--others", "--exclude-standard"]
    listed = subprocess.run(asked, check=True, capture_output=True, text=True, env=_GIT).stdout
    return {path for path in listed.split("\0") if path}


def packed(folder: Path) -> set[str]:
    try:
        return set(Source.of(folder).files)
    except SourceError as error:  # all files are excluded
        assert "holds no file" in str(error)
        return set()


def test_special_gitignore_rules_match_git(tmp_path: Path) -> None:
    ignored = "\n".join(
        [
            "src/*.log",
            "**/build",
            "docs/**",
            "!docs/kept.md",
            r"\#notes",
            r"\!important",
            "spaced\\ ",
            "trailing   ",
            "*.[oa]",
            "temp*/",
            "a/**/z",
            "/*.cfg",
            "!/keep.cfg",
        ]
    )
    names = (
        *("src/a.log", "src/deep/y.log", "build", "x/build/out", "docs/kept.md", "docs/b/c.md", "#notes", "!important"),
        *(
            "spaced ",
            "trailing",
            "lib.a",
            "lib.c",
            "temp",
            "temp1/x",
            "a/z",
            "a/b/c/z",
            "one.cfg",
            "keep.cfg",
            "d/e.cfg",
        ),
    )
    folder = folder_of(tmp_path / "app", **{".gitignore": ignored, **dict.fromkeys(names, "x")})

    assert packed(folder) == kept_by_git(folder)
    assert {"src/deep/y.log", "docs/kept.md", "temp", "keep.cfg"} <= packed(folder)


def test_a_deeper_gitignore_overrides_the_one_above(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "app",
        **{".gitignore": "*.log\n/only/*.txt\n", "a/.gitignore": "!*.log\nlocal\n", "b/.gitignore": "*.md"},
        **dict.fromkeys(("x.log", "a/x.log", "a/b/x.log", "a/local", "local", "b/c.md", "c.md", "only/x.txt"), "x"),
    )

    assert packed(folder) == kept_by_git(folder)
    assert {"a/x.log", "a/b/x.log", "local", "c.md"} <= packed(folder)


def test_the_gitignore_of_a_repository_above_the_folder_applies(tmp_path: Path) -> None:
    folder = folder_of(
        tmp_path / "repository" / "services" / "shop",
        **dict.fromkeys(("shop.log", "local.txt", "dist/app.js", "main.go"), "x"),
    )
    folder_of(tmp_path / "repository", **{".gitignore": "*.log\n/services/shop/local.txt\n", ".git/HEAD": "x"})

    assert packed(folder) == {"dist/app.js", "main.go"}


def test_a_folder_that_its_own_repository_ignores_is_packed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "repository" / "dist", **{"index.html": "x", "a.log": "x"})
    folder_of(tmp_path / "repository", **{".gitignore": "dist/\n*.log\n", ".git/HEAD": "x"})

    assert packed(folder) == {"index.html"}


def test_windows_line_ends_and_a_byte_order_mark_are_ignored_in_patterns(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "app", **{"a.log": "x", "b.txt": "x"})
    (folder / ".gitignore").write_bytes(b"\xef\xbb\xbf*.log\r\n\r\n")

    assert packed(folder) == kept_by_git(folder) == {".gitignore", "b.txt"}


_NAMES = st.sampled_from(("a", "b", "ab", "a.x", "b.x", "#a", "!b", "a b", "[a]"))
_PATHS = st.lists(_NAMES, min_size=1, max_size=4).map("/".join)
_GLOBS = st.sampled_from(
    ("a", "b", "ab", "*", "**", "?", "*.x", "a*", "[ab]", "[!a]*", "\\#a", "\\!b", "\\[a\\]", "a\\*")
)
_PATTERNS = st.builds(
    lambda negated, anchored, parts, folder: f"{negated}{anchored}{'/'.join(parts)}{folder}",
    st.sampled_from(("", "", "!")),
    st.sampled_from(("", "", "/")),
    st.lists(_GLOBS, min_size=1, max_size=3),
    st.sampled_from(("", "", "/")),
)
_FILES = st.lists(_PATTERNS, max_size=5).map("\n".join)


@given(
    paths=st.lists(_PATHS, min_size=1, max_size=12),
    ignored=st.dictionaries(st.sampled_from(("", "a/", "b/", "a/b/")), _FILES, max_size=3),
)
@example(paths=["a/b.x"], ignored={"": "*.x\n!a"})
@example(paths=["a/b", "a/a.x"], ignored={"": "a/**\n!a/b"})
@example(paths=["a/b/a"], ignored={"": "*/\n", "a/": "!b"})
def test_packed_files_are_those_that_git_would_add(
    paths: list[str], ignored: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("app")
    files = {f"{where}.gitignore": text for where, text in ignored.items()} | dict.fromkeys(paths, "x")
    for path, text in files.items():
        try:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            continue  # the name is taken by a folder, or its parent is a file

    assert packed(folder) == kept_by_git(folder)
