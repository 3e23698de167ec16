# SPDX-License-Identifier: Apache-2.0
"""Resolves the images of Revisions to digests, in the background.

In: Revisions whose status has no digests yet. Out: the digests or a failure by Revision; `revision` is woken when there
is one, and writes it. Called by: `revision`.

A Revision is resolved once: its digests are in its status. Eight Revisions are resolved at a time. A failure is retried
after 1 s, doubling to 1,000 s as in Knative, and at once when a Secret of its namespace or config-deployment changes.
"""

import asyncio
from collections.abc import Awaitable, Callable

from tidegate.client.context import Context
from tidegate.controllers.serving.digests import Resolution, unresolved_images
from tidegate.images.credentials import DOCKER_CONFIG, DOCKER_CONFIG_JSON, Credentials
from tidegate.images.errors import ImageError
from tidegate.images.pull_secrets import credentials_of
from tidegate.kit.backoff import Backoff
from tidegate.model.objects import Key, Object, key, spec, uid
from tidegate.reconcile.queue import WorkQueue

Resolve = Callable[[str, Credentials], Awaitable[str]]
"""NAME@DIGEST of an image; "" if its tag stays. Raises `ImageError`, whose message is for the Revision's condition."""

_RETRY_WAITS = 1.0, 1000.0  # seconds: the first and the longest wait after a failure
_WORKERS = 8


async def keep_tag(image: str, credentials: Credentials) -> str:
    """Default `resolve`: no tag is resolved; the node that runs an image looks it up."""
    return ""


class DigestResolution:
    """Resolves the images of all Revisions. `resolved`: called with a Revision that has a result."""

    def __init__(self, context: Context, resolve: Resolve, resolved: Callable[[Key], None]) -> None:
        self._revisions = context.informers.revisions
        self._cluster = context.cluster
        self._resolve = resolve
        self._resolved = resolved
        self._results: dict[Key, tuple[str, Resolution]] = {}  # with the uid of the Revision
        self._backoff = Backoff(*_RETRY_WAITS)
        self.work: WorkQueue[Key] = WorkQueue("digests", self._turn, workers=_WORKERS, clock=context.clock)
        context.informers.secrets.subscribe(self._on_secret)
        context.configs.subscribe(self._retry)

    def _on_secret(self, old: Object | None, new: Object | None) -> None:
        """Only a login that has changed can change the answer of a registry."""
        secret = new or old or {}
        if secret.get("type") in (DOCKER_CONFIG_JSON, DOCKER_CONFIG) and (old or {}).get("data") != (new or {}).get(
            "data"
        ):
            self._retry(secret["metadata"].get("namespace", ""))

    def of(self, revision: Object) -> Resolution:
        """The result of a Revision. The first call begins to resolve its images."""
        name = key(revision)
        known, result = self._results.get(name, ("", Resolution()))
        if known == uid(revision):
            return result
        self._results[name] = uid(revision), Resolution()
        self.work.wake(name)
        return Resolution()

    def forget(self, name: Key) -> None:
        """The Revision is deleted, or its status has the digests."""
        self._results.pop(name, None)
        self._backoff.forget(name)

    def _retry(self, namespace: str = "") -> None:
        """Try failed Revisions again at once: those of one namespace, or all."""
        for name, (_, result) in self._results.items():
            if result.failure and namespace in ("", name.namespace):
                self.work.wake(name)

    async def _turn(self, name: Key) -> None:
        revision = self._revisions.get(name)
        known, before = self._results.get(name, ("", Resolution()))
        if revision is None or known != uid(revision) or before.digests is not None:
            return
        result = await self._result(revision)
        if name not in self._results:
            return
        self._results[name] = known, result
        if result.failure:
            self.work.wake_after(name, self._backoff.next(name))
        if result != before:
            self._resolved(name)

    async def _result(self, revision: Object) -> Resolution:
        images = unresolved_images(revision)
        logins = await credentials_of(self._cluster, revision["metadata"]["namespace"], spec(revision))
        answers = await asyncio.gather(*(self._resolve(image, logins) for image in images), return_exceptions=True)
        for answer in answers:
            if isinstance(answer, ImageError):
                return Resolution(failure=str(answer))
            if isinstance(answer, BaseException):
                raise answer
        return Resolution({image: str(answer) for image, answer in zip(images, answers, strict=True)})
