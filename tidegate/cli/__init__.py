# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments -> a call of the API -> printed lines. The commands are in `commands/`.

A command finds its Tidegate by the state folder (`--data-dir`, $TIDEGATE_HOME). The folder's kubeconfig leads to the
API, so kubectl could do the same.

A command must start quickly. Therefore `program.py` imports only the module of the command that runs, and modules
import slow dependencies (the API's client, rich, parts of Tidegate) in the functions that use them.
"""

import sys


def main() -> None:
    """The entry point of `tidegate` and of `python -m tidegate`."""
    try:
        from tidegate.cli.program import app

        app(prog_name="tidegate")
    except KeyboardInterrupt:  # before a command started
        sys.exit(130)
