# SPDX-License-Identifier: Apache-2.0
"""Files that .dockerignore excludes: the rows agree with Docker's own matcher (moby/patternmatcher)."""

from pathlib import Path

import pytest

from tests.bundles.world import folder_of
from tidegate.bundles.source import Source


@pytest.mark.parametrize(
    ("lines", "ignored", "included"),
    [
        ("a.log", {"a.log"}, {"x/a.log"}),  # anchored at the top
        ("*.log", {"a.log"}, {"x/a.log"}),
        ("**/*.log", {"a.log", "x/a.log", "x/y/a.log"}, {"a.txt"}),
        ("*/temp*", {"x/temp1", "x/temporary/a"}, {"temp", "x/y/temp"}),
        ("/x/", {"x/a", "x/y/z"}, {"y/x"}),
        ("x/../y", {"y/a"}, {"x/a"}),
        ("x/**/z", {"x/z", "x/y/z"}, {"z"}),
        ("temp?", {"temp1"}, {"temp", "temp12"}),
        ("[ab].txt", {"a.txt", "b.txt"}, {"c.txt"}),
        ("[^ab].txt", {"c.txt"}, {"a.txt"}),
        ("*.md\n!README.md\n", {"a.md"}, {"README.md"}),
        ("!README.md\n*.md", {"README.md"}, set()),
        # Unlike Git: a file of an excluded folder is included again.
        ("docs\n!docs/kept", {"docs/a", "docs/b/c"}, {"docs/kept"}),
        ("*\n!src/app.py", {"a", "src/b.py"}, {"src/app.py"}),
        ("# a comment\n\n  x  \n", {"x"}, {"# a comment"}),
        ("a\\*b", {"a*b"}, {"axb"}),
    ],
)
def test_a_pattern_excludes_the_same_files_as_in_docker(
    tmp_path: Path, lines: str, ignored: set[str], included: set[str]
) -> None:
    folder = folder_of(tmp_path, **{"app.py": "", **dict.fromkeys(ignored | included, "x"), ".dockerignore": lines})
    packed = set(Source.of(folder, ["app.py"]).files)

    assert (packed & ignored, included - packed) == (set(), set())


def test_a_dockerignore_in_a_subfolder_has_no_effect(tmp_path: Path) -> None:
    folder = folder_of(tmp_path, **{".dockerignore": "a", "x/.dockerignore": "b", "x/b": "x"})

    assert set(Source.of(folder).files) == {".dockerignore", "x/.dockerignore", "x/b"}
