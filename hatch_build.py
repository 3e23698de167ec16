# SPDX-License-Identifier: Apache-2.0
"""The build hook: compiles the gate and the launcher into the package, for wheels and for editable checkouts.

Called by: hatchling.
"""

import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import (  # type: ignore[import-not-found,unused-ignore]
    BuildHookInterface,
)

sys.path.insert(0, str(Path(__file__).parent))  # only modules without dependencies may be imported

from tidegate.gateway.module import GATE
from tidegate.kit import native
from tidegate.node.runtimes.process.launcher import LAUNCHER


class GateBuildHook(BuildHookInterface[Any]):  # type: ignore[misc,unused-ignore]
    """Adds the compiled files to the wheel and marks the wheel for this platform."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [] if native.compiler() else ["ziglang"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        for compiled in (GATE, LAUNCHER):
            build_data["artifacts"].append(str(compiled.build().relative_to(self.root)))
        build_data["pure_python"] = False
        if version == "standard":  # a checkout has them beside the package
            build_data["force_include"][str(Path(self.root) / "examples")] = "tidegate/examples"
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
