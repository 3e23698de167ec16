# SPDX-License-Identifier: Apache-2.0
"""Writes a Pod's status. Every write of the node agent to a status goes through `write_status`.

Called by: `agent.py`, `binder.py`, `pod_statuses.py`.
"""

from tidegate.client.context import Context
from tidegate.model.kinds import POD
from tidegate.model.objects import Object, key, status, uid


def differs(desired: Object, pod: Object) -> bool:
    """Whether a write would change the Pod."""
    present = status(pod)
    return any(present.get(field) != value for field, value in desired.items())


async def write_status(context: Context, pod: Object, desired: Object) -> Object:
    """The Pod after the write. Raises `errors.NotFound` if the Pod of that uid is deleted."""
    patch = {"metadata": {"uid": uid(pod)}, "status": desired}
    written = await context.cluster.patch(POD, key(pod), patch, subresource="status")
    context.informers.pods.learn(written)
    return written
