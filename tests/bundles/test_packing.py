# SPDX-License-Identifier: Apache-2.0
"""Packed files of a folder, excluded files with their reasons, and the messages about them."""

from pathlib import Path

import pytest

from tests.bundles.world import app, build, folder_of, packed, remarks
from tidegate.bundles import packing
from tidegate.bundles.source import Source, SourceError

SECRETS = (
    *(".env", ".env.production", "config/.env", "key.pem", "certs/SERVER.KEY", "store.p12", "store.jks"),
    *("id_rsa", "deploy/id_ed25519", ".netrc", ".pgpass", ".git-credentials", ".ssh/config", ".aws/credentials"),
)
MADE_AGAIN = (
    *(".git/config", ".venv/bin/python", "env/pyvenv.cfg", "env/lib/x.py", "pkg/__pycache__/a.pyc"),
    *("node_modules/left-pad/index.js", "web/node_modules/a/b.js", ".tox/x", ".DS_Store"),
)


def files(folder: Path, *include: str) -> set[str]:
    return set(Source.of(folder, include).files)


def test_secrets_and_generated_files_are_packed_only_by_request(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "app", **{"app.py": "", ".env.example": "", "id_rsa.pub": ""})
    folder_of(folder, **dict.fromkeys((*SECRETS, *MADE_AGAIN), "x"))

    assert files(folder) == {"app.py", ".env.example", "id_rsa.pub"}


@pytest.mark.parametrize("path", ["key.pem", "config/.env", ".ssh/config", "node_modules/left-pad/index.js"])
def test_included_files_are_packed(tmp_path: Path, path: str) -> None:
    folder = folder_of(tmp_path / "app", **{"app.py": ""})
    folder_of(folder, **dict.fromkeys((*SECRETS, *MADE_AGAIN), "x"))

    assert files(folder, path) == {"app.py", path}


def test_an_included_folder_is_packed_with_all_its_files(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "app", **{".gitignore": "dist/", "dist/a.js": "", "dist/b/c.pem": "", "other": ""})

    assert files(folder, "dist/") == {".gitignore", "dist/a.js", "dist/b/c.pem", "other"}


@pytest.mark.parametrize("path", ["absent", "../app", "/etc/passwd"])
def test_a_missing_included_path_is_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(SourceError, match="there is no such file"):
        Source.of(folder_of(tmp_path / "app", **{"app.py": ""}), [path])


@pytest.mark.parametrize(
    ("ignore_files", "included"),
    [
        ({".gitignore": "a"}, {"b", "c"}),
        ({".gitignore": "a", ".dockerignore": "b"}, {"a", "c"}),
        ({".gitignore": "a", ".dockerignore": "b", ".gcloudignore": "c"}, {"a", "b"}),
        ({".gitignore": "a", ".gcloudignore": "#!include:.gitignore\nc"}, {"b"}),
        ({".gitignore": "a", ".gcloudignore": "#!include:absent\n# a\nc"}, {"a", "b"}),
        ({".gcloudignore": "", ".gitignore": "a"}, {"a", "b", "c"}),
    ],
)
def test_only_the_first_existing_ignore_file_is_read(
    tmp_path: Path, ignore_files: dict[str, str], included: set[str]
) -> None:
    folder = folder_of(tmp_path / "app", **ignore_files, a="", b="", c="")

    assert files(folder) - ignore_files.keys() == included


def test_excluded_files_are_reported_on_one_line_with_reasons(tmp_path: Path) -> None:
    names = [f"{each}.log" for each in "abcdefg"]
    folder = app(tmp_path / "app", **{".gitignore": "*.log\nbuild/", "build/x": "", ".env": "", ".git/HEAD": ""})
    folder_of(folder, **dict.fromkeys(names, "x"))

    assert remarks(tmp_path, folder) == [
        "left out: .env (may be secret; --include packs it); "
        "a.log, b.log, build/, c.log, d.log and 3 more (.gitignore); .git/"
    ]


def test_no_line_is_printed_if_no_file_is_excluded(tmp_path: Path) -> None:
    assert remarks(tmp_path, app(tmp_path / "app")) == []


def test_a_bundle_holds_only_the_packed_files(tmp_path: Path) -> None:
    built = build(tmp_path, app(tmp_path / "app", **{".gitignore": "local", "local": "x", "static/a.css": "x"}))

    assert packed(built) == {".gitignore", "Procfile", "app.py", "static/a.css"}


def test_every_excluded_name_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "source.md").read_text()

    assert [
        name for name in (*packing.MADE_AGAIN, *packing.SECRETS, *packing.EXAMPLES) if f"`{name}`" not in text
    ] == []
