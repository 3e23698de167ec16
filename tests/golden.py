# SPDX-License-Identifier: Apache-2.0
"""Recorded inputs and outputs of Knative's own code, read from beside the checkout; tests that need them skip where
they are absent."""

import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2] / "shared" / "golden"


def files(folder: str, pattern: str = "*.json") -> list[Path]:
    """The recorded files of a folder, sorted; empty where there are none (the parametrised test then skips)."""
    return sorted((ROOT / folder).glob(pattern))


def load(name: str | Path) -> Any:
    """One recorded file, by its path below the folder or as `files` gives it; skips the test where it is absent."""
    path = ROOT / name
    if not path.exists():
        pytest.skip(f"golden data {name} is not beside this checkout")
    return json.loads(path.read_text())
