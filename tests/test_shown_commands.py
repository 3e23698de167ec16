# SPDX-License-Identifier: Apache-2.0
"""The commands for contributors that the pages show can be run: targets of make, paths and modules exist."""

import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHOWN = "\n".join(page.read_text() for folder in (ROOT, ROOT / "docs") for page in sorted(folder.glob("*.md")))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


def test_each_target_of_make_on_a_page_exists() -> None:
    lines = re.findall(r"(?:^|`)make ((?:[a-z-]+ ?)+)", SHOWN, flags=re.MULTILINE)
    shown = {target for line in lines for target in line.split()}

    assert {"setup", "test", "lint"} <= shown
    assert shown - TARGETS == set()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"(?<=pytest )tests[\w/.]*|\.ci/\w+", SHOWN))))
def test_each_path_in_a_command_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("module", sorted(set(re.findall(r"python -m (bench[\w.]*)", SHOWN))))
def test_each_benchmark_on_a_page_exists(module: str) -> None:
    assert find_spec(module) is not None


@pytest.mark.parametrize("name", [*re.findall(r"make test K=(\w+)", SHOWN), "new_revision_wants"])
def test_make_finds_tests_by_the_start_or_the_middle_of_their_names(name: str) -> None:
    dry_run = subprocess.run(["make", "-n", "test", f"K={name}"], cwd=ROOT, capture_output=True, text=True, check=True)
    search = re.search(r"\$\((grep .* plugins)\)", dry_run.stdout)
    assert search is not None

    found = subprocess.run(search[1], shell=True, cwd=ROOT, capture_output=True, text=True, check=True)

    assert "tests/autoscaler/test_controller.py" in found.stdout.split()
