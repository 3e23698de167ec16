# SPDX-License-Identifier: Apache-2.0
"""The node: this host, as the part of Tidegate that runs Pods.

In: the settings, the host's runtime, and two signals of the gateway. Out: a running node agent, the Node object, the
logs and the usage of instances, and sessions with them. Called by: `embedded.py`, which builds it and starts it in two
steps.
"""

from dataclasses import dataclass

from tidegate.client.context import Context
from tidegate.images.store import ImageStore
from tidegate.kit.supervision import Supervisor
from tidegate.model.tokens import IssueToken
from tidegate.node import orphans
from tidegate.node.agent import Agent
from tidegate.node.announcements import Announce, Announcements, no_announcement
from tidegate.node.archive import Archive, retention
from tidegate.node.attempts import attempt
from tidegate.node.binder import Binder
from tidegate.node.downward import NodeFacts
from tidegate.node.machine import Machine, NodeResources
from tidegate.node.node_context import Attempt, Drained, NodeContext, PodVolumes
from tidegate.node.pod_logs import PodLogs
from tidegate.node.ports import PortPool
from tidegate.node.prepared_metrics import PreparedMetrics
from tidegate.node.runtime import Runtime
from tidegate.node.sessions import Sessions
from tidegate.node.usage import Sampler
from tidegate.node.volumes.evictions import Evictions
from tidegate.node.volumes.provisioner import Provisioner
from tidegate.node.volumes.volumes import Volumes
from tidegate.settings import Settings

NOTE_LOGS_EVERY, CHECK_PORTS_EVERY, MEASURE_EMPTY_DIRS_EVERY = 1.0, 1.0, 10.0
PRUNE_LOGS_EVERY, REMOVE_ORPHANS_EVERY = 60.0, 600.0
"""Seconds between two rounds of each."""


@dataclass(frozen=True, slots=True)
class NodeHost:
    """The host of a node: its name, its resources, and the way containers run on it. `volumes`: only for tests."""

    name: str
    resources: NodeResources
    runtime: Runtime
    attempt: Attempt = attempt
    volumes: PodVolumes | None = None


class Node:
    """Runs Pods on one host. `drained` and `announce` are the gateway's, `issue_token` the API server's."""

    def __init__(
        self,
        context: Context,
        settings: Settings,
        host: NodeHost,
        *,
        drained: Drained,
        issue_token: IssueToken,
        announce: Announce = no_announcement,
    ) -> None:
        self.archive = Archive(settings.ended_logs, lambda: retention(context.configs.current.observability))
        self._evictions = Evictions(context)
        facts = NodeFacts(host.name, host.resources.allocatable)
        self._node = NodeContext(
            context,
            facts=facts,
            runtime=host.runtime,
            attempt=host.attempt,
            drained=drained,
            folder=settings.instances,
            archive=self.archive,
            ports=PortPool(),
            volumes=host.volumes or Volumes(context, settings, facts, issue_token, self._evictions),
        )
        self._provisioner = Provisioner(context, settings.volumes)
        self._machine = Machine(context, host.name, host.resources, settings.instances, ImageStore(settings.images))
        binder = Binder(context, host.name, host.resources.allocatable)
        self.agent = Agent(self._node, binder, Announcements(announce))
        self.logs = PodLogs(self._node, self.agent.instances)
        self.sessions = Sessions(self.agent.instances, self.logs)
        self.sampler = Sampler(context, self.agent.usage)
        self.metrics = PreparedMetrics(self.agent.instances, self.agent.usage).figures

    def start(self, supervisor: Supervisor) -> None:
        """Run the agent; `agent.settled` returns when it has adopted what runs already."""
        supervisor.start(node=self.agent.run, node_status=self._machine.run, volumes=self._node.volumes.run)
        supervisor.start(claims=self._provisioner.run)
        supervisor.every(MEASURE_EMPTY_DIRS_EVERY, empty_dirs=self._evictions.check)
        supervisor.every(NOTE_LOGS_EVERY, container_logs=self.logs.note)
        supervisor.every(CHECK_PORTS_EVERY, ports=self._check_ports)
        supervisor.every(PRUNE_LOGS_EVERY, ended_logs=self._prune_logs)
        supervisor.every(REMOVE_ORPHANS_EVERY, instance_folders=self.remove_orphans)

    def start_usage(self, supervisor: Supervisor) -> None:
        """Sample the usage of instances, once the agent has settled."""
        supervisor.start(usage=self.sampler.run)

    async def _check_ports(self) -> None:
        """Find instances that run and do not listen any more."""
        for instance in list(self.agent.instances.values()):
            for container in instance.containers.all:
                container.check_port()

    async def _prune_logs(self) -> None:
        await self.archive.prune(self._node.clock.wall())

    async def remove_orphans(self) -> None:
        await orphans.remove_orphans(self._node, await self.agent.known())
