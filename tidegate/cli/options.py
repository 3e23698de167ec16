# SPDX-License-Identifier: Apache-2.0
"""The options that several commands have."""

from pathlib import Path
from typing import Annotated

import typer

DataDir = Annotated[
    Path | None,
    typer.Option(envvar="TIDEGATE_HOME", help="The state folder.", show_default="~/.tidegate"),
]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="The namespace to work in.")]
