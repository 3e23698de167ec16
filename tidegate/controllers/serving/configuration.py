# SPDX-License-Identifier: Apache-2.0
"""Configuration -> one immutable Revision for each generation of its template.

In: a Configuration and its Revisions. Out: the Revision of the newest generation, created if it does not exist, and the
Configuration's status (`configuration_status`). Called by: `Controllers`. Rule: knative/serving
pkg/reconciler/configuration.
"""

from collections.abc import Sequence
from datetime import datetime

from tidegate.client.context import Context
from tidegate.controllers.serving.configuration_status import observed_status, rejected_status, status_events
from tidegate.controllers.serving.revision_name import claim, next_name, template_metadata
from tidegate.model import names
from tidegate.model.conditions import timestamp
from tidegate.model.objects import Key, Object, annotations, generation, key, labels, owner_reference, spec
from tidegate.reconcile.lookups import live_object, own_key, waking
from tidegate.reconcile.object_queue import object_queue
from tidegate.reconcile.rejections import REJECTIONS, RETRY_REJECTED_SECONDS
from tidegate.reconcile.writer import ObjectWriter


class Configurations:
    """Reconciles every Configuration."""

    def __init__(self, context: Context, writer: ObjectWriter) -> None:
        self._writer = writer
        self._configurations = context.informers.configurations
        self._revisions = context.informers.revisions
        self._recorder = context.recorder
        self._clock = context.clock
        self.work = object_queue("configuration", self.reconcile, context.clock)
        self._configurations.subscribe(waking(self.work, own_key))
        self._revisions.subscribe(waking(self.work, self._configurations_of))

    def _configurations_of(self, revision: Object) -> Sequence[Key]:
        """The Configuration that owns a revision, and the Configurations whose template asks for its name."""
        namespace = revision["metadata"]["namespace"]
        own = labels(revision).get(names.CONFIGURATION)
        waiting = self._configurations.indexed("revision", str(key(revision)))
        return [*([Key(namespace, own)] if own else ()), *(key(configuration) for configuration in waiting)]

    async def reconcile(self, key: Key) -> None:
        """Create the Revision of one Configuration's newest generation, then report the newest and the ready one."""
        configuration = live_object(self._configurations, key)
        if configuration is None:
            return
        revision, taken = claim(configuration, self._revisions)
        now = self._clock.wall()
        if taken:
            message = f'revisions.serving.knative.dev "{next_name(configuration)}" already exists'
            await self._update_status(configuration, rejected_status(configuration, message, now))
            return
        if revision is None:
            desired = desired_revision(configuration, now)
            try:
                revision = await self._writer.create_child(configuration, self._revisions, desired)
            except REJECTIONS as rejection:
                await self._update_status(configuration, rejected_status(configuration, rejection.message, now))
                self.work.wake_after(key, RETRY_REJECTED_SECONDS)
                return
        owned = self._revisions.indexed("configuration", str(key))
        await self._update_status(configuration, observed_status(configuration, revision, owned, now))

    async def _update_status(self, configuration: Object, observed: Object) -> None:
        updated = await self._writer.update_status(self._configurations, configuration, observed)
        for event in status_events(configuration, updated):
            record = self._recorder.warning if event.is_warning else self._recorder.normal
            record(configuration, event.reason, event.message)


def desired_revision(configuration: Object, now: datetime) -> Object:
    """The Revision of a Configuration's newest generation. It starts active if a Route is known to refer to it."""
    metadata = configuration["metadata"]
    template = template_metadata(configuration)
    routes = annotations(configuration).get(names.ROUTES)
    modifier = annotations(configuration).get(names.LAST_MODIFIER)
    inherited = {name: labels(configuration).get(name) for name in (names.SERVICE, names.SERVICE_UID)}
    return {
        "apiVersion": configuration["apiVersion"],
        "kind": "Revision",
        "metadata": {
            **template,
            "name": next_name(configuration),
            "namespace": metadata["namespace"],
            "labels": {
                **(template.get("labels") or {}),
                **{name: value for name, value in inherited.items() if value},
                names.CONFIGURATION: metadata["name"],
                names.CONFIGURATION_UID: metadata["uid"],
                names.CONFIGURATION_GENERATION: str(generation(configuration)),
                names.ROUTING_STATE: "active" if routes is not None else "pending",
            },
            "annotations": {
                **(template.get("annotations") or {}),
                **({names.CREATOR: modifier} if modifier is not None else {}),
                **({names.ROUTES: routes} if routes is not None else {}),
                names.ROUTING_STATE_MODIFIED: timestamp(now),
            },
            "ownerReferences": [owner_reference(configuration)],
        },
        "spec": spec(configuration)["template"]["spec"],
    }
