# SPDX-License-Identifier: Apache-2.0
"""Who may read and run the files of a bundle: everyone, because apps run as users of their own; its owner alone writes.

In: a bundle's folder (`normalise`, called by `build`), or all of them (`open_all`, called by `embedded.py`).
"""

import os
import stat
from pathlib import Path

_FOLDER_MODE, _FILE_MODE = 0o755, 0o644


def open_all(bundles: Path) -> None:
    """Make bundles of earlier versions, which only their owner could read, readable for all users."""
    for folder in bundles.iterdir():
        if not folder.name.startswith(".") and stat.S_IMODE(folder.stat().st_mode) != _FOLDER_MODE:
            normalise(folder)


def normalise(bundle: Path) -> None:
    """Set every mode and owner, whatever an archive or an install script has set; the folder itself comes last. Bits
    that would give its owner's rights to the one who executes a file do not survive."""
    ours = os.geteuid(), os.getegid()
    for folder, folders, files in os.walk(bundle, topdown=False):
        for path in (Path(folder, name) for name in (*folders, *files)):
            found = path.lstat()
            if (found.st_uid, found.st_gid) != ours:
                os.chown(path, *ours, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode):
                path.chmod(_FOLDER_MODE if stat.S_ISDIR(found.st_mode) or found.st_mode & stat.S_IXUSR else _FILE_MODE)
            elif not stat.S_ISLNK(found.st_mode):
                path.unlink()  # a pipe or a socket that a tool has left
    bundle.chmod(_FOLDER_MODE)
