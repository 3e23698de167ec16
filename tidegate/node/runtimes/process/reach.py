# SPDX-License-Identifier: Apache-2.0
"""The folders on the way to an app's files that other users may not pass. Root's home is often 0700, and apps run as
users of their own.

In: paths that apps need. Out: the folders above them that other users may not pass. If there are any, an app gets a
mount namespace in which these folders are empty, except for the paths that it needs (`launcher.py`). Called by:
`identity.py`, once at the start.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tidegate.kit.files import first_unsearchable_folder


class Reach(NamedTuple):
    """`covered`: the topmost folders that other users may not pass; `exposed`: the paths below them that apps need."""

    covered: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()


ANYWHERE = Reach()
"""Every user can reach every path."""


def reach(paths: Iterable[Path]) -> Reach:
    """The obstacles on the way to these paths."""
    found = {os.path.realpath(path): first_unsearchable_folder(path) for path in paths}
    covered = sorted({str(folder) for folder in found.values() if folder is not None})
    return Reach(tuple(covered), tuple(sorted(path for path, folder in found.items() if folder is not None)))
