# SPDX-License-Identifier: Apache-2.0
"""All controllers: the one object that `embedded.py` builds from this folder.

In: the `Context`, and `Callbacks` into the gateway and the node. Out: `start`, which runs the controllers as the part
"controllers". Called by: `embedded.py`; the autoscaler calls `expect_scale`.
"""

import asyncio
from dataclasses import dataclass

from tidegate.client.context import Context
from tidegate.controllers.serving.configuration import Configurations
from tidegate.controllers.serving.digest_resolution import Resolve, keep_tag
from tidegate.controllers.serving.instances import Instances, LoadOf, Wake, wait_for_label
from tidegate.controllers.serving.labeler import Labeler
from tidegate.controllers.serving.replica_failures import ReplicaFailures
from tidegate.controllers.serving.revision import Revisions
from tidegate.controllers.serving.revision_collector import RevisionCollector
from tidegate.controllers.serving.route import Routes
from tidegate.controllers.serving.route_plan import PortOf
from tidegate.controllers.serving.service import Services
from tidegate.kit.supervision import Supervisor
from tidegate.model.objects import Key
from tidegate.reconcile.writer import ObjectWriter


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Methods of other parts, for answers that no object holds. `load_of`: requests in flight, from the gateway.
    `port_of`: the gateway's ports. `wake`: resumes a Pod on standby or starts a prepared one at the node, before its
    label says so. `resolve`: the digest of an image, from its registry."""

    load_of: LoadOf
    port_of: PortOf
    wake: Wake = wait_for_label
    resolve: Resolve = keep_tag


class Controllers:
    """The reconcilers of all kinds."""

    def __init__(self, context: Context, callbacks: Callbacks) -> None:
        writer, failures = ObjectWriter(context.cluster, context.recorder), ReplicaFailures(context.clock)
        self._instances = Instances(context, writer, failures, callbacks.load_of, callbacks.wake)
        self._routes = Routes(context, writer, callbacks.port_of)
        self._collector = RevisionCollector(context, writer)
        revisions = Revisions(context, writer, failures, callbacks.resolve)
        reconcilers = (
            Services(context, writer),
            Configurations(context, writer),
            revisions,
            revisions.digests,
            self._instances,
            self._routes,
            Labeler(context, writer),
            self._collector,
        )
        self._queues = [reconciler.work for reconciler in reconcilers]
        self._informers = context.informers
        context.configs.subscribe(self._on_config_change)

    def expect_scale(self, revision: Key, scale: int) -> None:
        """The autoscaler is about to write this scale: create its Pods meanwhile."""
        self._instances.expect_scale(revision, scale)

    def start(self, supervisor: Supervisor) -> None:
        """Reconcile until the supervisor stops."""
        supervisor.start(controllers=self.run)

    async def run(self) -> None:
        """Reconcile until cancelled. Waits first until all informers are synced: a child that an informer does not have
        yet would be created a second time."""
        await self._informers.synced()
        self._instances.adopt()
        async with asyncio.TaskGroup() as group:
            for queue in self._queues:
                group.create_task(queue.run(), name=queue.name)

    def _on_config_change(self) -> None:
        self._routes.wake_all()
        self._collector.wake_all()
