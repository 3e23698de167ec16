# SPDX-License-Identifier: Apache-2.0
"""Whether a folder's files can be trusted: only their owner and root can have written them.

In: a folder and places in it. Out: nothing, or `Untrusted` with a line for the user. Called by: the command line before
it reads a state folder, and `app` before it writes one.

The rule of sshd's StrictModes, for the folder, its parents and its content:

| | is trusted when |
| --- | --- |
| owner | it is the user that runs this, or root |
| write bits for group and others | there are none; the group may write where only the owner is in it |
| a sticky folder above (/tmp) | anyone may write there: others' files in it cannot be replaced |
| a symbolic link | its owner is trusted, and its target |
"""

import grp
import os
import pwd
import stat
from collections.abc import Iterable
from pathlib import Path


class Untrusted(Exception):
    """Somebody else can change, or has made, what was about to be believed; the message is one line."""


def require(folder: Path, places: Iterable[Path] = ()) -> None:
    """Raise `Untrusted` unless the folder, all above it and those of the `places` that exist can be believed."""
    for place in (*reversed(folder.parents), folder):
        _require(place, may_be_shared=place != folder)
        if place.is_symlink():
            require(place.resolve())
    for place in places:
        _require(place, may_be_shared=False)
        if place.is_symlink():
            require(place.resolve())


def _require(place: Path, *, may_be_shared: bool) -> None:
    try:
        found = place.lstat()
    except FileNotFoundError:
        return
    if found.st_uid not in (0, os.geteuid()):
        raise Untrusted(
            f"{place} belongs to {_user(found.st_uid)}, who could change what Tidegate trusts: use a folder of your "
            f"own (--data-dir), or run `chown -R {_user(os.geteuid())} {place}` if you know all that is in it"
        )
    if stat.S_ISLNK(found.st_mode) or (may_be_shared and found.st_mode & stat.S_ISVTX):
        return
    others = "everyone" if found.st_mode & stat.S_IWOTH else _strangers(found)
    if others:
        raise Untrusted(
            f"{place} belongs to {_user(found.st_uid)} but can be written by {others}, who could change what Tidegate "
            f"trusts: run `chmod go-w {place}` if you know all that is in it"
        )


def _strangers(found: os.stat_result) -> str:
    """The group that may write, unless it is the owner's alone (as useradd makes them)."""
    if not found.st_mode & stat.S_IWGRP or found.st_gid == 0:
        return ""
    owner = _user(found.st_uid)
    try:
        group = grp.getgrgid(found.st_gid)
    except KeyError:
        return f"group {found.st_gid}"
    members = {*group.gr_mem, *(user.pw_name for user in pwd.getpwall() if user.pw_gid == found.st_gid)}
    return "" if members <= {owner} else f"group {group.gr_name}"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
