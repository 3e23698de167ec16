# SPDX-License-Identifier: Apache-2.0
"""Creates the Pods of a Revision.

In: a Revision and a number. Out: Pods; if the API rejects one (e.g. a quota has no room), an Event and
`replica_failures` say why, and `instances` tries again later. A rejected Pod on standby is reported the same way. A
prepared Pod is not: the Revision runs without it. Called by: `instances`.
"""

import asyncio

import structlog

from tidegate.client.context import Context
from tidegate.controllers.serving.pod import desired_pod
from tidegate.controllers.serving.preparation import Preparation
from tidegate.controllers.serving.replica_failures import FAILED_CREATE, ReplicaFailures
from tidegate.model import errors, names
from tidegate.model.config import Flag
from tidegate.model.objects import Key, Object, key
from tidegate.reconcile.queue import WorkQueue
from tidegate.reconcile.rejections import REJECTIONS, is_namespace_terminating
from tidegate.reconcile.writer import ObjectWriter

_BATCH = 50
"""Pods created concurrently, so that they share one commit."""


class PodCreation:
    """Creates Pods. `work`: the queue of the Revisions' instances."""

    def __init__(
        self,
        context: Context,
        writer: ObjectWriter,
        failures: ReplicaFailures,
        preparation: Preparation,
        work: WorkQueue[Key],
    ) -> None:
        self._pods = context.informers.pods
        self._configs = context.configs
        self._recorder = context.recorder
        self._writer = writer
        self._failures = failures
        self._preparation = preparation
        self._work = work

    async def create(self, revision: Object, missing: int, *, waiting: str = "") -> None:
        """Create instances, or Pods with a label by which they wait."""
        name = key(revision)
        if missing <= 0 or self._failures.is_delayed(name):
            return
        pod = self._desired(revision, waiting)
        batch = 1 if self._failures.get(name) else _BATCH  # the next Pod may be rejected too
        while missing > 0:
            failed = await self._create(pod, min(missing, batch))
            if isinstance(failed, errors.ApiError):
                self._recorder.warning(revision, FAILED_CREATE, f"Error creating: {_message(failed, pod)}")
            if isinstance(failed, (errors.Forbidden, *REJECTIONS)) and not is_namespace_terminating(failed):
                self._work.wake_after(name, self._failures.delay_retry(name, _message(failed, pod)))
                self._preparation.give_way(name.namespace)
                return
            if failed is not None:
                raise failed
            missing, batch = missing - batch, _BATCH

    async def prepare(self, revision: Object, missing: int) -> None:
        """Create prepared Pods."""
        failed = await self._create(self._desired(revision, names.PREPARED), missing)
        if isinstance(failed, (errors.Forbidden, *REJECTIONS)):
            structlog.get_logger("instances").debug("not prepared", revision=str(key(revision)), error=failed.message)
            self._preparation.failed(key(revision))
        elif failed is not None:
            raise failed

    def _desired(self, revision: Object, waiting: str) -> Object:
        anywhere = self._configs.current.features.multi_container_probing is Flag.ENABLED
        return desired_pod(revision, waiting=waiting, liveness_anywhere=anywhere)

    async def _create(self, pod: Object, number: int) -> BaseException | None:
        """The first failure, if there is one."""
        creations = (self._writer.create(self._pods, pod) for _ in range(number))
        created = await asyncio.gather(*creations, return_exceptions=True)
        return next((error for error in created if isinstance(error, BaseException)), None)


def _message(error: errors.ApiError, pod: Object) -> str:
    """Why the Pod was rejected. Its generated name is cut to the prefix, so that each attempt has the same message."""
    return error.message.replace(f'"{error.details.get("name", "")}"', f'"{pod["metadata"]["generateName"]}"')
