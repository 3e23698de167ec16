# SPDX-License-Identifier: Apache-2.0
"""Makes a release of the checkout: `make release VERSION=1.2.3`.

In: a clean checkout and a version that is higher than the last one. Out: a commit with the version in the package and
its plugins and with the section of the changelog, and an annotated tag. It pushes nothing.
"""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_UNRELEASED = "## [Unreleased]\n"


def main(version: str) -> None:
    if not _VERSION.fullmatch(version):
        raise SystemExit("give a version of three numbers: make release VERSION=1.2.3")
    if _git("status", "--porcelain"):
        raise SystemExit("there are changes that are not committed: commit or stash them first")
    package = Path("tidegate/__init__.py")
    before = re.search(r'__version__ = "(.*)"', package.read_text())
    if before is None:
        raise SystemExit(f"{package} has no __version__")
    tag = f"v{version}"
    if _git("tag", "--list", tag):
        raise SystemExit(f"there is a tag {tag} already")
    if _git("tag", "--list", f"v{before[1]}") and _numbers(version) <= _numbers(before[1]):
        raise SystemExit(f"{version} is not higher than the released version {before[1]}")
    changelog = Path("CHANGELOG.md")
    changelog.write_text(released(changelog.read_text(), version, f"{datetime.now(UTC):%Y-%m-%d}"))
    _replace(package, '__version__ = ".*"', f'__version__ = "{version}"')
    for plugin in sorted(Path("plugins").glob("*/pyproject.toml")):
        _replace(plugin, '^version = ".*"', f'version = "{version}"')
    _git("commit", "--quiet", "--all", "--message", f"Release {version}")
    _git("tag", "--annotate", tag, "--message", f"Tidegate {version}")
    sys.stdout.write(f"committed and tagged {tag}; push with: git push --follow-tags\n")


def released(changelog: str, version: str, day: str) -> str:
    """The changelog with its unreleased section under the version, and an empty one above it."""
    before, heading, after = changelog.partition(_UNRELEASED)
    if not heading or not after.partition("\n## ")[0].strip():
        raise SystemExit("CHANGELOG.md has no changes under [Unreleased]")
    return f"{before}{heading}\n## [{version}] - {day}\n{after}"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


def _replace(path: Path, pattern: str, text: str) -> None:
    path.write_text(re.sub(pattern, text, path.read_text(), count=1, flags=re.MULTILINE))


def _git(*arguments: str) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout.strip()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
