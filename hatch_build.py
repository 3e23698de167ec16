# SPDX-License-Identifier: Apache-2.0
"""The build hook: compiles the gate into the package, for wheels and for editable checkouts. Hatchling calls it."""

import importlib.util
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import (  # type: ignore[import-not-found,unused-ignore]
    BuildHookInterface,
)


def load_module() -> ModuleType:
    """`tidegate/gateway/module.py`, without the package: its dependencies are not there while it is built."""
    path = Path(__file__).parent / "tidegate" / "gateway" / "module.py"
    spec = importlib.util.spec_from_file_location("gate_module", path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class GateBuildHook(BuildHookInterface[Any]):  # type: ignore[misc,unused-ignore]
    """Adds `libgate.so` to the wheel, and makes the wheel one of this platform."""

    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        return [] if load_module().compiler() else ["ziglang"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        module = load_module()
        library = module.build(module.HERE)
        build_data["artifacts"].append(str(library.relative_to(self.root)))
        build_data["pure_python"] = False
        if version == "standard":  # a checkout has them beside the package
            build_data["force_include"][str(Path(self.root) / "examples")] = "tidegate/examples"
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
