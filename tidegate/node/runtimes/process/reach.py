# SPDX-License-Identifier: Apache-2.0
"""Which folders of ours another user can get to. Root's home is often 0700, and apps run as users of their own.

In: paths that apps need. Out: the folders on the way to them that others may not pass; where there are some, an app
gets a mount namespace in which these are empty but for what it needs (`launcher`). Who: `identity`, once at the start;
`process`, to say why a program could not be executed.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from tidegate.kit.files import obstacle


class Reach(NamedTuple):
    """`covered`: the topmost folders that others may not pass; `exposed`: what apps need below them."""

    covered: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()


ANYWHERE = Reach()
"""Nothing is in the way."""


def reach(paths: Iterable[Path]) -> Reach:
    found = {os.path.realpath(path): obstacle(path) for path in paths}
    covered = sorted({str(folder) for folder in found.values() if folder is not None})
    return Reach(tuple(covered), tuple(sorted(path for path, folder in found.items() if folder is not None)))
