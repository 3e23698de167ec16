# SPDX-License-Identifier: Apache-2.0
"""`make release` in a clone: a small repository that has the files a release changes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n"
PLUGIN = "plugins/predictive/pyproject.toml"


class Clone:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def git(self, *arguments: str) -> str:
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
        command = ["git", *who, *arguments]
        return subprocess.run(command, cwd=self.folder, check=True, capture_output=True, text=True).stdout.strip()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(text)

    def read(self, name: str) -> str:
        return (self.folder / name).read_text()

    def release(self, version: str) -> subprocess.CompletedProcess[str]:
        names = {
            f"GIT_{who}_{what}": f"a@{who}.example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
        }
        command = [sys.executable, str(ROOT / ".ci/release.py"), version]
        return subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, env=os.environ | names
        )


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path)
    made.git("init", "--quiet")
    made.write("CHANGELOG.md", CHANGELOG)
    for name in ("tidegate/__init__.py", PLUGIN):
        made.write(name, (ROOT / name).read_text())
    made.git("add", "--all")
    made.git("commit", "--quiet", "--message", "Begin")
    return made


pytestmark = pytest.mark.needs("git")


def test_a_release_is_one_commit_with_its_versions_its_section_and_a_tag(clone: Clone) -> None:
    done = clone.release("1.2.3")

    assert (done.returncode, done.stderr) == (0, "")
    assert '__version__ = "1.2.3"' in clone.read("tidegate/__init__.py")
    assert 'version = "1.2.3"' in clone.read(PLUGIN)
    head, unreleased, section = clone.read("CHANGELOG.md").split("## [")
    assert (head, unreleased) == ("# Changelog\n\n", "Unreleased]\n\n")
    assert section.startswith("1.2.3] - 2")
    assert section.endswith("\n\n### Added\n\n- A thing.\n")
    assert clone.git("log", "--format=%s", "-1") == "Release 1.2.3"
    assert clone.git("describe", "--exact-match") == "v1.2.3"
    assert clone.git("status", "--porcelain") == ""


def test_a_dirty_tree_is_not_released(clone: Clone) -> None:
    clone.write("CHANGELOG.md", CHANGELOG + "- Another.\n")

    done = clone.release("1.2.3")

    assert done.returncode == 1
    assert "not committed" in done.stderr
    assert clone.git("tag") == ""


@pytest.mark.parametrize(
    ("version", "words"), [("1.2", "three numbers"), ("", "three numbers"), ("0.9.0", "not higher")]
)
def test_a_version_must_have_three_numbers_and_be_higher_than_the_last_release(
    clone: Clone, version: str, words: str
) -> None:
    assert clone.release("1.2.3").returncode == 0
    clone.write("CHANGELOG.md", clone.read("CHANGELOG.md").replace("[Unreleased]\n", "[Unreleased]\n\n- More.\n"))
    clone.git("commit", "--quiet", "--all", "--message", "More")

    done = clone.release(version)

    assert done.returncode == 1
    assert words in done.stderr


def test_a_release_without_changes_is_refused(clone: Clone) -> None:
    assert clone.release("1.2.3").returncode == 0

    done = clone.release("1.2.4")

    assert done.returncode == 1
    assert "no changes under [Unreleased]" in done.stderr
