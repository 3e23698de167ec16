# SPDX-License-Identifier: Apache-2.0
"""Recorded inputs and outputs of Knative's own code, in a folder beside the checkout; tests that need them are skipped
without it."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2] / "shared" / "golden"


def files(folder: str, pattern: str = "*.json") -> list[Path]:
    """The recorded files of a folder, sorted; empty without the folder (the parametrised test is then skipped)."""
    return sorted((ROOT / folder).glob(pattern))


def load(name: str | Path) -> Any:
    """One recorded file, by its path below the folder or from `files`; skips the test if it is missing."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"golden data {name} is not beside this checkout")
    return json.loads(path.read_text())
