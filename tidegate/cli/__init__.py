# SPDX-License-Identifier: Apache-2.0
"""The command line: arguments -> a call of the API -> a few printed lines. The commands are in `commands/`.

A command finds its Tidegate by the state folder (`--data-dir`, $TIDEGATE_HOME), whose kubeconfig leads to the API; so
everything it does, kubectl could do as well.

A command must start quickly: `program.py` loads only the one that is asked for, and modules import what not every use
of them needs (the API's client, rich, the parts of Tidegate) where they use it.
"""

import sys


def main() -> None:
    """The entry point of `tidegate` and of `python -m tidegate`."""
    try:
        from tidegate.cli.program import app

        app(prog_name="tidegate")
    except KeyboardInterrupt:  # before a command began
        sys.exit(130)
