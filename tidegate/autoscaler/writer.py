# SPDX-License-Identifier: Apache-2.0
"""Writes the status of PodAutoscalers, and Events for the changes that a user must see.

In: a PodAutoscaler, its scaler and the scale within its bounds. Out: a patch of the status where it differs. Called by:
`controller.py`. Only the autoscaler writes this status.
"""

from tidegate.autoscaler import status
from tidegate.autoscaler.scale import Scaled
from tidegate.autoscaler.scaler import Scaler
from tidegate.client.context import Context
from tidegate.model import errors, kinds
from tidegate.model.conditions import condition, is_false
from tidegate.model.objects import Object
from tidegate.model.objects import status as status_of


class StatusWriter:
    """Compares and writes."""

    def __init__(self, context: Context) -> None:
        self._cluster = context.cluster
        self._clock = context.clock
        self._recorder = context.recorder
        self._pod_autoscalers = context.informers.pod_autoscalers

    async def write(self, pod_autoscaler: Object, scaler: Scaler, scaled: Scaled, ready: int) -> None:
        """Make the status say `scaled`, if the object still exists."""
        now, wall = self._clock.monotonic(), self._clock.wall()
        wanted = status.observed_status(pod_autoscaler, scaled, ready, scaler.bounds, wall, scaler.decision)
        scaler.scale = scaled.scale
        before = status_of(pod_autoscaler)
        if wanted == before:
            return
        changed = {name: value for name, value in wanted.items() if before.get(name) != value}
        try:
            # Without a resourceVersion: there is no other writer, and the write must not wait for a newer object.
            written = await self._cluster.patch(
                kinds.POD_AUTOSCALER, scaler.key, {"status": changed}, subresource="status"
            )
        except errors.NotFound:
            return
        self._pod_autoscalers.learn(written)
        active = condition(written, status.ACTIVE)
        if active["status"] != scaler.active:
            scaler.active, scaler.since = active["status"], now
            if active.get("reason") == status.TIMED_OUT:
                self._recorder.warning(written, status.TIMED_OUT, f"{active['message']} {scaled.because}")
        if is_false(written, status.SCALING_ACTIVE) and not is_false(pod_autoscaler, status.SCALING_ACTIVE):
            scaling = condition(written, status.SCALING_ACTIVE)
            self._recorder.warning(written, scaling["reason"], scaling["message"])
