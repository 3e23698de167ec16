# SPDX-License-Identifier: Apache-2.0
"""The folders of the example apps: beside the package in a checkout, inside it if installed from a wheel."""

from pathlib import Path

import tidegate
from tidegate.cli.failures import CommandFailure


def folder(name: str) -> Path:
    """The source of an example app."""
    package = Path(tidegate.__file__).parent
    for parent in (package.parent, package):
        if (parent / "examples" / name / "Procfile").is_file():
            return parent / "examples" / name
    raise CommandFailure(f"the example {name} is not part of this installation")
