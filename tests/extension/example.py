# SPDX-License-Identifier: Apache-2.0
"""Installs the example extension as pip would: the folder of its code, and its metadata."""

import tomllib
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "extension"


def installed_into(folder: Path) -> str:
    """Write the metadata of the example into `folder`, which belongs on the path of Python. Returns the folder."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = [
        f"[{group}]\n{name} = {value}\n"
        for group, entries in project["entry-points"].items()
        for name, value in entries.items()
    ]
    (info / "entry_points.txt").write_text("".join(lines))
    return str(folder)
