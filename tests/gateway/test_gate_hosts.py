# SPDX-License-Identifier: Apache-2.0
"""Host names are case-insensitive. Envoy finds the routes of a scope case-sensitively; the gate corrects that."""

from pathlib import Path

import pytest

from harness import gate


class Scoped(gate.Gateway):
    """A gateway that finds its routes by scopes, one for each host, like the product."""

    def bootstrap(self) -> gate.JsonObject:
        made = super().bootstrap()
        http = made["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"]
        del http["route_config"]
        by_host = {"header_value_extractor": {"name": ":authority", "element_separator": ":", "index": 0}}
        http["scoped_routes"] = {
            "name": "hosts",
            "scope_key_builder": {"fragments": [by_host]},
            "scoped_route_configurations_list": {
                "scoped_route_configurations": [self.scope(n) for n in self.revisions]
            },
        }
        return made

    def scope(self, name: str) -> gate.JsonObject:
        routes = {"name": name, "virtual_hosts": [self.virtual_host(name)], "ignore_port_in_host_matching": True}
        key = {"fragments": [{"string_key": name}]}
        return {"name": name, "key": key, "route_configuration": {**routes, "validate_clusters": False}}


@pytest.mark.parametrize(
    ("host", "status"), [("hello", 200), ("HELLO", 200), ("Hello:8080", 200), ("nobody", 404), ("NOBODY", 404)]
)
async def test_a_host_is_found_in_any_case(host: str, status: int, tmp_path: Path) -> None:
    async with Scoped(tmp_path, {"hello": {}}).running() as gateway, gate.instances(1) as apps:
        gateway.set_hosts("hello", apps)

        assert (await gate.get(gateway, host)).status == status
