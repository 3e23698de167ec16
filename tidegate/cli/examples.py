# SPDX-License-Identifier: Apache-2.0
"""Where the example apps are: beside the package in a checkout, inside it where it was installed from a wheel."""

from pathlib import Path

import tidegate
from tidegate.cli.problems import Problem


def folder(name: str) -> Path:
    """The source of an example app."""
    package = Path(tidegate.__file__).parent
    for parent in (package.parent, package):
        if (parent / "examples" / name / "Procfile").is_file():
            return parent / "examples" / name
    raise Problem(f"the example {name} is not part of this installation")
