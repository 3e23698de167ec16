# SPDX-License-Identifier: Apache-2.0
"""An Envoy with a module that does nothing, and without the gate: what any filter of a dynamic module costs.

What the gate costs beyond that is the gate's own; the rest is Envoy's way to a module and back.
"""

from dataclasses import dataclass
from pathlib import Path

from harness.gate import TYPE, Gateway, JsonObject, text_value
from tidegate.gateway import module
from tidegate.kit import native

SOURCE = Path(__file__).with_name("nothing.cc")


@dataclass
class Nothing(Gateway):
    """`folder` holds the module too."""

    def __post_init__(self) -> None:
        super().__post_init__()
        command = native.compiler()
        if command is None:
            raise SystemExit("the bench needs a C++ compiler")
        native.run([*command, *module.FLAGS, str(SOURCE), "-o", str(self.folder / "libnothing.so")], "the empty module")
        self.modules = self.folder

    def gate_filter(self) -> list[JsonObject]:
        typed = {
            "@type": TYPE + "envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter",
            "dynamic_module_config": {"name": "nothing"},
            "filter_name": "nothing",
            "filter_config": text_value({}),
        }
        return [{"name": "nothing", "typed_config": typed}]
