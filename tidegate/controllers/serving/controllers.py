# SPDX-License-Identifier: Apache-2.0
"""All controllers, put together: the one object that `embedded.py` makes of this folder.

In: the cluster, the informers, what is configured. Out: `run`, which reconciles until cancelled.
"""

import asyncio
from collections.abc import Callable, Iterator

from tidegate.client.cluster import Cluster
from tidegate.client.events import Recorder
from tidegate.client.informer import Informer
from tidegate.controllers.serving.configuration import Configurations
from tidegate.controllers.serving.garbage import Garbage
from tidegate.controllers.serving.instances import Instances, LoadOf, Wake, by_its_label
from tidegate.controllers.serving.labeler import Labeler
from tidegate.controllers.serving.refused import Refused
from tidegate.controllers.serving.revision import Revisions
from tidegate.controllers.serving.route import PortOf, Routes
from tidegate.controllers.serving.service import Services
from tidegate.kit.clock import Clock, RealClock
from tidegate.model.config import Configs
from tidegate.model.objects import Key
from tidegate.reconcile.queue import WorkQueue
from tidegate.reconcile.writer import Writer


class Controllers:
    """The reconcilers of every kind."""

    def __init__(
        self,
        *,
        cluster: Cluster,
        services: Informer,
        configurations: Informer,
        revisions: Informer,
        routes: Informer,
        pod_autoscalers: Informer,
        ingresses: Informer,
        pods: Informer,
        resource_quotas: Informer,
        configs: Callable[[], Configs],
        recorder: Recorder,
        load_of: LoadOf,
        port_of: PortOf,
        wake: Wake = by_its_label,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or RealClock()
        self._informers = (
            *(services, configurations, revisions, routes),
            *(pod_autoscalers, ingresses, pods, resource_quotas),
        )
        refused = Refused()
        writer = Writer(cluster, recorder)
        self.services = Services(
            writer=writer,
            services=services,
            configurations=configurations,
            routes=routes,
            revisions=revisions,
            clock=clock,
        )
        self.configurations = Configurations(
            writer=writer, configurations=configurations, revisions=revisions, recorder=recorder, clock=clock
        )
        self.revisions = Revisions(
            writer=writer,
            revisions=revisions,
            pod_autoscalers=pod_autoscalers,
            pods=pods,
            refused=refused,
            configs=configs,
            recorder=recorder,
            clock=clock,
        )
        self.instances = Instances(
            writer=writer,
            revisions=revisions,
            pod_autoscalers=pod_autoscalers,
            pods=pods,
            resource_quotas=resource_quotas,
            refused=refused,
            load_of=load_of,
            wake=wake,
            configs=configs,
            recorder=recorder,
            clock=clock,
        )
        self.routes = Routes(
            writer=writer,
            routes=routes,
            configurations=configurations,
            revisions=revisions,
            ingresses=ingresses,
            configs=configs,
            port_of=port_of,
            clock=clock,
        )
        self.labeler = Labeler(
            writer=writer,
            services=services,
            routes=routes,
            configurations=configurations,
            revisions=revisions,
            clock=clock,
        )
        self.garbage = Garbage(
            writer=writer, configurations=configurations, revisions=revisions, configs=configs, clock=clock
        )

    def reconfigured(self) -> None:
        """A ConfigMap, or the gateway's port, has changed."""
        self.routes.wake_all()
        self.garbage.wake_all()

    async def run(self) -> None:
        """Reconcile until cancelled, from when all that is read is there: what is not seen would be made once more."""
        for informer in self._informers:
            await informer.synced()
        async with asyncio.TaskGroup() as group:
            for work in self._queues():
                group.create_task(work.run(), name=work.name)

    def _queues(self) -> Iterator[WorkQueue[Key]]:
        parts = (
            self.services,
            self.configurations,
            self.revisions,
            self.instances,
            self.routes,
            self.labeler,
            self.garbage,
        )
        return (part.work for part in parts)
