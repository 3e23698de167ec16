# SPDX-License-Identifier: Apache-2.0
"""Whether an app is built from its Dockerfile, or as a bundle.

In: a folder. Out: the Dockerfile, or None for a bundle. Called by: `tidegate build`
and `tidegate deploy`.

| the folder has | builder `auto` |
| --- | --- |
| a Procfile | a bundle: the Procfile says how the app starts on this host; a remark if there is a Dockerfile too |
| a Dockerfile or Containerfile, and images can be built here | the image |
| a Dockerfile or Containerfile, and images cannot be built here | a bundle, with a remark |
| neither | a bundle |
"""

from pathlib import Path

from tidegate.bundles.tools import ReportText
from tidegate.image_builds import buildah

_FILES = ("Containerfile", "Dockerfile")  # in the order in which buildah looks for them


def of(folder: Path) -> Path | None:
    """The Dockerfile of a folder, if there is one."""
    return next((folder / name for name in _FILES if (folder / name).is_file()), None)


def chosen(folder: Path, remark: ReportText) -> Path | None:
    """The Dockerfile to build from by the table; None for a bundle."""
    file = of(folder)
    if file is None:
        return None
    if (folder / "Procfile").is_file():
        remark(f"{file.name} is not used, because there is a Procfile (--builder dockerfile uses it)")
        return None
    if problem := buildah.missing():
        remark(f"{file.name} is not used: {problem}")
        return None
    return file
