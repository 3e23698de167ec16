# SPDX-License-Identifier: Apache-2.0
"""The commands of installed extensions, by name.

In: the entry points of `tidegate.extensions`. Out: click commands. Called by: `program.py`, only for a command that is
not Tidegate's own and for the list of commands. Without an extension this costs a look into the installed packages (3
ms); an extension is imported only if there is one.
"""

from collections.abc import Mapping
from functools import cache

import click

from tidegate.cli import failures
from tidegate.kit import packages

GROUP = "tidegate.extensions"


@cache
def commands() -> Mapping[str, click.Command]:
    """The commands by name. For an extension that cannot be loaded, a warning is printed."""
    if not packages.declares(GROUP):
        return {}
    from tidegate.extension.extensions import ExtensionError, installed

    found: dict[str, click.Command] = {}
    for each in installed():
        if isinstance(each, ExtensionError):
            failures.remark(f"Warning: extension {each.name} cannot be loaded: {each}")
        else:
            found |= {command.name: command for command in each.extension.commands if command.name}
    return found
