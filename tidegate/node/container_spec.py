# SPDX-License-Identifier: Apache-2.0
"""One container of a Pod's spec, with the port of its instance. Pure.

Called by: `container.py`, `prober.py`, `port_guard.py`; `instance.py` makes one for each container.
"""

from dataclasses import dataclass
from enum import Enum

from tidegate.model import names, pods
from tidegate.model.objects import Object, spec
from tidegate.node.effective_mounts import effective
from tidegate.node.pod_setup import PodSetup
from tidegate.node.port_lease import PortLease
from tidegate.node.probe import Probe, ProbeKind
from tidegate.node.runtime import Launch
from tidegate.node.status import INITIALIZING, STARTING, Waiting


class ContainerRole(Enum):
    """SERVING takes the instance's requests; BESIDE runs beside it; INIT ends before these start; SIDECAR is an init
    container that keeps running."""

    SERVING = "serving"
    BESIDE = "beside"
    INIT = "init"
    SIDECAR = "sidecar"


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """`setup`: what its Pod's containers share."""

    pod: Object
    container: Object
    role: ContainerRole
    setup: PodSetup

    @property
    def serving(self) -> bool:
        return self.role is ContainerRole.SERVING

    @property
    def restart_policy(self) -> str:
        """Always, OnFailure or Never. An init container that has succeeded is done."""
        policy = str(spec(self.pod).get("restartPolicy") or "Always")
        if self.role is ContainerRole.SIDECAR:
            return "Always"
        return "OnFailure" if self.role is ContainerRole.INIT and policy == "Always" else policy

    @property
    def lease(self) -> PortLease:
        return self.setup.lease

    @property
    def name(self) -> str:
        return str(self.container["name"])

    @property
    def first_state(self) -> Waiting:
        """Before its first run."""
        return INITIALIZING if spec(self.pod).get("initContainers") else STARTING

    @property
    def launch(self) -> Launch:
        container = effective(self.container, self.pod, self.setup.volumes)
        return Launch(self.pod, container, self.lease.port if self.serving else 0, self.setup.volumes)

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
        """The ports by every name that a probe may use for them. A sidecar's probe may name the serving port too,
        because the containers of a Pod share an address."""
        serving = pods.serving_container(spec(self.pod)).get("ports") or [{"containerPort": names.DEFAULT_PORT}]
        if not self.lease.is_shared:
            named = (*serving, *(self.container.get("ports") or ()))
            found = {str(port["name"]): int(port["containerPort"]) for port in named if port.get("name")}
            return {**found, "": self.lease.port} if self.serving else found
        called = {text for port in serving for text in (str(port.get("name") or ""), str(port.get("containerPort")))}
        return dict.fromkeys(called | {""} if self.serving else called - {""}, self.lease.port)

    def probe(self, kind: ProbeKind) -> Probe | None:
        return Probe.of(kind, self.container.get(f"{kind}Probe"))

    def grace(self, probe: Probe) -> float:
        """Seconds from SIGTERM to SIGKILL after a probe has failed."""
        grace = spec(self.pod).get("terminationGracePeriodSeconds", 30)
        return float(probe.action.get("terminationGracePeriodSeconds", grace) or 0)
