# SPDX-License-Identifier: Apache-2.0
"""A bundle from a folder of source, for commands.

Out: progress and remarks on stderr; a `CommandFailure` with the tool's lines. Called by: `tidegate build`, `tidegate
deploy`, `tidegate demo`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tidegate.cli import connection, failures, progress
from tidegate.settings import Settings

if TYPE_CHECKING:
    from tidegate.bundles.bundle import Bundle


def built(
    folder: Path,
    name: str,
    data_dir: Path | None,
    report: progress.ShowLine,
    include: Sequence[str] = (),
    *,
    needs_command: bool = True,
) -> "Bundle":
    """The bundle of a folder; it is built unless it exists. `needs_command`: fail if nothing says how it starts."""
    from tidegate.bundles import build
    from tidegate.bundles.bundle import BundleError
    from tidegate.bundles.tools import Messages

    bundles = Settings(connection.home(data_dir)).bundles
    messages = Messages(report, failures.remark)
    try:
        return build.build(folder, name, bundles, messages, include=include, needs_command=needs_command)
    except BundleError as error:
        for line in error.lines:
            failures.remark(f"  {line}")
        raise failures.CommandFailure(str(error)) from error
