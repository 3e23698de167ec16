# SPDX-License-Identifier: Apache-2.0
"""Configuration -> one immutable Revision for each generation of its template.

In: a Configuration and its Revisions. Out: the Revision of the newest generation, made if it is not there, and a status
that names the newest revision and the newest ready one. Rule: knative/serving pkg/reconciler/configuration.

| the newest revision | Ready |
| --- | --- |
| is not ready yet | Unknown, with what it says that it waits for |
| is ready | True; it is the latest ready one |
| failed | False RevisionFailed; the latest ready one stays what it was |
| cannot be made, for its name is taken | False RevisionFailed |
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from tidegate.client.events import Recorder
from tidegate.client.informer import Informer
from tidegate.kit.clock import Clock
from tidegate.model import names
from tidegate.model.conditions import Conditions, condition, is_ready, timestamp
from tidegate.model.objects import (
    Key,
    Object,
    annotations,
    controller_of,
    generation,
    is_controlled_by,
    key,
    labels,
    owner_reference,
    spec,
    status,
)
from tidegate.reconcile.writer import REFUSALS, REFUSED_AGAIN, Verdict, Writer, alive, heard, itself, queue, waking

_READY = "Ready"


class Claim(NamedTuple):
    """What stands under the name that the next revision has. `taken`: something that is not this Configuration's, or
    not of this template."""

    revision: Object | None
    taken: bool


class Configurations:
    """Reconciles every Configuration."""

    def __init__(
        self, *, writer: Writer, configurations: Informer, revisions: Informer, recorder: Recorder, clock: Clock
    ) -> None:
        self._writer = writer
        self._configurations = configurations
        self._revisions = revisions
        self._recorder = recorder
        self._clock = clock
        self.work = queue("configuration", self.reconcile, clock)
        configurations.subscribe(waking(self.work, itself))
        revisions.subscribe(waking(self.work, self._concerned))

    def _concerned(self, revision: Object) -> Sequence[Key]:
        """The Configuration a revision is of, and those that would like to have its name."""
        namespace = revision["metadata"]["namespace"]
        own = labels(revision).get(names.CONFIGURATION)
        waiting = self._configurations.indexed("revision", str(key(revision)))
        return [*([Key(namespace, own)] if own else ()), *(key(configuration) for configuration in waiting)]

    async def reconcile(self, key: Key) -> None:
        """Make the Revision of one Configuration's newest generation, then tell which are newest and ready."""
        configuration = alive(self._configurations, key)
        if configuration is None:
            return
        revision, taken = claim(configuration, self._revisions)
        now = self._clock.wall()
        if taken:
            message = f'revisions.serving.knative.dev "{next_name(configuration)}" already exists'
            await self._tell(configuration, observed_refusal(configuration, message, now))
            return
        if revision is None:
            desired = desired_revision(configuration, now)
            try:
                revision = await self._writer.create_child(configuration, self._revisions, desired)
            except REFUSALS as refusal:
                await self._tell(configuration, observed_refusal(configuration, refusal.message, now))
                self.work.wake_after(key, REFUSED_AGAIN)
                return
        owned = self._revisions.indexed("configuration", str(key))
        await self._tell(configuration, observed_status(configuration, revision, owned, now))

    async def _tell(self, configuration: Object, observed: Object) -> None:
        updated = await self._writer.update_status(self._configurations, configuration, observed)
        for event in news(configuration, updated):
            tell = self._recorder.normal if event.good else self._recorder.warning
            tell(configuration, event.reason, event.message)


def next_name(configuration: Object) -> str:
    """The name of the newest generation's revision: the template's own, or the Configuration's with the generation."""
    named = _template_metadata(configuration).get("name")
    return named or names.child_name(configuration["metadata"]["name"], f"-{generation(configuration):05d}")


def _template_metadata(configuration: Object) -> Object:
    return spec(configuration)["template"].get("metadata") or {}


def claim(configuration: Object, revisions: Informer) -> Claim:
    """Whose the name of the next revision is.

    | under that name | claim |
    | --- | --- |
    | nothing | free |
    | a revision of this Configuration, of this generation or with this very spec | ours |
    | a revision of this Configuration with another spec | taken |
    | a revision of an earlier Configuration of the same name (it is being collected) | free, soon |
    | any other revision | taken |
    """
    name = Key(configuration["metadata"]["namespace"], next_name(configuration))
    revision = revisions.get(name)
    if revision is None:
        return Claim(None, taken=False)
    if not is_controlled_by(revision, configuration):
        owner = controller_of(revision) or {}
        returning = owner.get("kind") == "Configuration" and owner["name"] == configuration["metadata"]["name"]
        return Claim(None, taken=not returning)
    if labels(revision).get(names.CONFIGURATION_GENERATION) == str(generation(configuration)):
        return Claim(revision, taken=False)
    same = spec(configuration)["template"].get("spec") == spec(revision)
    return Claim(revision if same else None, taken=not same)


def desired_revision(configuration: Object, now: datetime) -> Object:
    """The Revision of a Configuration's newest generation. It starts out active where a Route is known to want it."""
    metadata = configuration["metadata"]
    template = _template_metadata(configuration)
    wanted_by = annotations(configuration).get(names.ROUTES)
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
                names.ROUTING_STATE: "active" if wanted_by is not None else "pending",
            },
            "annotations": {
                **(template.get("annotations") or {}),
                **({names.CREATOR: modifier} if modifier is not None else {}),
                **({names.ROUTES: wanted_by} if wanted_by is not None else {}),
                names.ROUTING_STATE_MODIFIED: timestamp(now),
            },
            "ownerReferences": [owner_reference(configuration)],
        },
        "spec": spec(configuration)["template"]["spec"],
    }


def observed_status(configuration: Object, newest: Object, revisions: Sequence[Object], now: datetime) -> Object:
    """The status, given the revision of the newest generation and all revisions of this Configuration."""
    conditions = Conditions(configuration, (), now)
    name = newest["metadata"]["name"]
    ready_before = status(configuration).get("latestReadyRevisionName")
    ready_now = _latest_ready(configuration, newest, revisions) or ready_before
    said = heard(newest)
    if ready_now == name and said.status == "True":
        conditions.mark_true(_READY)
    elif said.status == "False":
        message = f'Revision "{name}" failed with message: {said.message}.'
        conditions.mark_false(_READY, "RevisionFailed", message)
    elif ready_before != name:
        conditions.mark_unknown(_READY, *_still_awaited(said))
    return {
        "conditions": conditions.conditions(),
        "latestCreatedRevisionName": name,
        **({"latestReadyRevisionName": ready_now} if ready_now else {}),
    }


def _still_awaited(said: Verdict) -> tuple[str, str]:
    """Why the newest revision is not ready yet, once it knows more than that it is new."""
    return (said.reason, said.message) if said.status == "Unknown" and said.message else ("", "")


def _latest_ready(configuration: Object, newest: Object, revisions: Sequence[Object]) -> str | None:
    """The newest revision that is ready, not looking behind the one that was it before; the newest generation's own
    revision comes first, even if it is an old one that the template names again."""
    own = [revision for revision in revisions if is_controlled_by(revision, configuration)]
    by_name = {revision["metadata"]["name"]: revision for revision in own}
    before = by_name.get(status(configuration).get("latestReadyRevisionName", ""))
    since = _generation_of(before) if before is not None else 0
    candidates = sorted(
        (revision for revision in own if _generation_of(revision) >= since), key=_generation_of, reverse=True
    )
    ready = (revision["metadata"]["name"] for revision in (newest, *candidates) if is_ready(revision))
    return next(ready, None)


def _generation_of(revision: Object) -> int:
    label = labels(revision).get(names.CONFIGURATION_GENERATION, "")
    return int(label) if label.isdecimal() else 0


def observed_refusal(configuration: Object, why: str, now: datetime) -> Object:
    """The status while the newest generation's revision cannot be made."""
    conditions = Conditions(configuration, (), now)
    conditions.mark_false(_READY, "RevisionFailed", f"Revision creation failed with message: {why}.")
    return {**status(configuration), "conditions": conditions.conditions()}


class News(NamedTuple):
    """An event to tell about a Configuration."""

    good: bool
    reason: str
    message: str


def news(before: Object, after: Object) -> Iterator[News]:
    """What a new status makes worth telling."""
    ready_before = status(before).get("latestReadyRevisionName")
    ready_after = status(after).get("latestReadyRevisionName")
    if ready_before != ready_after:
        if not ready_before:
            yield News(good=True, reason="ConfigurationReady", message="Configuration becomes ready")
        message = f'LatestReadyRevisionName updated to "{ready_after}"'
        yield News(good=True, reason="LatestReadyUpdate", message=message)
    failed = condition(after, _READY)
    created = status(after).get("latestCreatedRevisionName")
    if failed["status"] == "False" and failed != condition(before, _READY) and created:
        which = "ready" if created == ready_after else "created"
        reason = f"Latest{which.capitalize()}Failed"
        yield News(good=False, reason=reason, message=f'Latest {which} revision "{created}" has failed')
