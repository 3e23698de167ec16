# SPDX-License-Identifier: Apache-2.0
"""`python -m tidegate`, the same as `tidegate`: it imports nothing from the current folder, which Python puts first on
the path of modules."""

import sys

if not sys.flags.safe_path:
    del sys.path[0]

from tidegate.cli import main

main()
