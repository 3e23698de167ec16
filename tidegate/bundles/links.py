# SPDX-License-Identifier: Apache-2.0
"""Whether a symbolic link of a source still leads somewhere in a bundle, which stands elsewhere.

In: the source's folder and the link's path in it. Out: the fault, for a message, or "". Called by `source`.
"""

from pathlib import Path, PurePosixPath

_MOST_LINKS = 40  # as the kernel


def problem_of(folder: Path, path: str) -> str:
    """Follow it step by step, as the kernel would, with the source for the whole world. A missing target is no
    problem: the build may create it."""
    inside: list[str] = []
    ahead = list(reversed(PurePosixPath(path).parts))
    links = 0
    while ahead:
        name = ahead.pop()
        if name == "..":
            if not inside:
                return "leads out of the folder"
            inside.pop()
            continue
        here = folder.joinpath(*inside, name)
        if not here.is_symlink():
            inside.append(name)
            continue
        links += 1
        if links > _MOST_LINKS:
            return "leads to itself"
        target = PurePosixPath(here.readlink())
        if target.is_absolute():
            return "leads to an absolute path"
        ahead.extend(reversed(target.parts))
    return ""
