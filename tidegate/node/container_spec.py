# SPDX-License-Identifier: Apache-2.0
"""One container of a Pod's spec, with the port of its instance. Pure.

Called by: `container.py`, `prober.py`, `port_guard.py`; `instance.py` makes one for each container.
"""

from dataclasses import dataclass

from tidegate.model import names, pods
from tidegate.model.objects import Object, spec
from tidegate.node.pod_setup import PodSetup
from tidegate.node.port_lease import PortLease
from tidegate.node.probe import Probe, ProbeKind
from tidegate.node.runtime import Launch


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """`serving`: whether the container takes the instance's requests; `setup`: what its Pod's containers share."""

    pod: Object
    container: Object
    serving: bool
    setup: PodSetup

    @property
    def lease(self) -> PortLease:
        return self.setup.lease

    @property
    def name(self) -> str:
        return str(self.container["name"])

    @property
    def launch(self) -> Launch:
        return Launch(self.pod, self.container, self.lease.port if self.serving else 0, self.setup.volumes)

    @property
    def fixed_variables(self) -> dict[str, str]:
        """The variables that the container cannot replace."""
        return {"PORT": str(self.lease.port)} if self.serving else {}

    @property
    def named_port(self) -> int:
        """The port that the serving container's spec names, or its default."""
        return pods.serving_port(spec(self.pod))

    @property
    def ports(self) -> dict[str, int]:
        """The instance's port by every name that a probe may use for it. A sidecar's probe may name the serving port
        too, because the containers of a Pod share an address."""
        ports = pods.serving_container(spec(self.pod)).get("ports") or [{"containerPort": names.DEFAULT_PORT}]
        called = {text for port in ports for text in (str(port.get("name") or ""), str(port.get("containerPort")))}
        return dict.fromkeys(called | {""} if self.serving else called - {""}, self.lease.port)

    def probe(self, kind: ProbeKind) -> Probe | None:
        return Probe.of(kind, self.container.get(f"{kind}Probe"))

    def grace(self, probe: Probe) -> float:
        """Seconds from SIGTERM to SIGKILL after a probe has failed."""
        grace = spec(self.pod).get("terminationGracePeriodSeconds", 30)
        return float(probe.action.get("terminationGracePeriodSeconds", grace) or 0)
