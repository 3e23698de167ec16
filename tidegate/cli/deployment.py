# SPDX-License-Identifier: Apache-2.0
"""The Service of a deploy: created or patched, followed until it is ready, described for the user.

In: a connected cluster and the `ServiceChange`. Out: the Service, and texts about it. Called by: `tidegate deploy`,
`tidegate demo`.
"""

from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tidegate.cli import failures, progress
from tidegate.model import errors, kinds, names, objects
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object

if TYPE_CHECKING:
    from tidegate.cli import readiness
    from tidegate.client.http import HttpCluster

_LAST_LINES = 10
_LINES_SECONDS = 2.0  # the maximum time to wait for the lines of an ended run


@dataclass(frozen=True, slots=True)
class ServiceChange:
    """The changes of a Service. Fields that are not named stay as they are; None removes an entry. An empty `command`,
    `arguments` or `pull_secret` removes the field."""

    image: str
    env: Mapping[str, str | None] = field(default_factory=dict)
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    concurrency: int | None = None
    port: int | None = None
    command: Sequence[str] | None = None
    arguments: Sequence[str] | None = None
    pull_secret: str | None = None


async def find(cluster: "HttpCluster", key: Key) -> Object | None:
    """The Service, if it exists."""
    try:
        return await cluster.get(kinds.SERVICE, key)
    except errors.NotFound:
        return None


async def put(cluster: "HttpCluster", key: Key, current: Object | None, change: ServiceChange) -> Object:
    """Create the Service, or patch the current one."""
    if current is not None:
        template = desired_template(objects.spec(current).get("template") or {}, change)
        return await cluster.patch(kinds.SERVICE, key, {"spec": {"template": template}})
    template = desired_template({}, change)
    metadata = {"name": key.name, "namespace": key.namespace}
    service = {"apiVersion": kinds.SERVICE.api_version, "kind": kinds.SERVICE.kind, "metadata": metadata}
    return await cluster.create(kinds.SERVICE, {**service, "spec": {"template": template}})


def desired_template(current: Object, change: ServiceChange) -> Object:
    """The revision template, as a merge patch of the current one. A revision name in the current template is removed:
    it belongs to the current revision."""
    metadata = current.get("metadata") or {}
    containers = objects.spec(current).get("containers") or [{}]
    first = {**containers[0], "image": change.image}
    unchanged = [entry for entry in first.pop("env", ()) if entry["name"] not in change.env]
    env = [*unchanged, *({"name": name, "value": value} for name, value in change.env.items() if value is not None)]
    first |= {"env": env} if env else {}
    template: Object = {
        "metadata": {
            **({"name": None} if metadata.get("name") else {}),
            **({"annotations": dict(change.annotations)} if change.annotations else {}),
        },
        "spec": {"containers": [_changed(first, change), *containers[1:]]},
    }
    if change.pull_secret is not None:
        template["spec"]["imagePullSecrets"] = [{"name": change.pull_secret}] if change.pull_secret else None
    if change.concurrency is not None:
        template["spec"]["containerConcurrency"] = change.concurrency
    return template


def _changed(container: Object, change: ServiceChange) -> Object:
    """The container with another command, other arguments and another port; the port keeps its name."""
    words = {"command": change.command, "args": change.arguments}
    kept = {field: value for field, value in container.items() if words.get(field) is None}
    port = [{**(container.get("ports") or [{}])[0], "containerPort": change.port}]
    return {
        **kept,
        **{field: list(value) for field, value in words.items() if value},
        **({"ports": port} if change.port is not None else {}),
    }


async def run_release(
    cluster: "HttpCluster", key: Key, current: Object | None, change: ServiceChange, command: Sequence[str]
) -> None:
    """Run the app's release command as the next revision would run. Raises `ReleaseFailed`."""
    from tidegate.cli import release

    template = objects.spec(current or {}).get("template") or {}
    next_spec = {**objects.spec(template), **desired_template(template, change)["spec"]}
    await release.run(cluster, key, {"spec": next_spec}, command, lambda line: failures.remark(f"  {line}"))


def interrupted_state(name: str, before: Object | None, service: Object) -> str:
    """The state that remains if the command is interrupted now."""
    if before is None:
        return f"the service {name} was created and is still starting; remove it with `tidegate delete ksvc {name}`"
    if objects.generation(before) == objects.generation(service):
        return f"the service {name} is unchanged"
    return f"the service {name} was changed and its new revision is still starting: see `tidegate status`"


def traffic_share(service: Object) -> str:
    """The newest revision and its share of the traffic."""
    status = objects.status(service)
    revision, split = status.get("latestCreatedRevisionName", ""), status.get("traffic") or []
    percents = {target.get("revisionName"): 0 for target in split}
    for target in split:
        percents[target.get("revisionName")] += int(target.get("percent") or 0)
    if percents.get(revision):
        return f"revision {revision}, {percents[revision]} % of traffic"
    pinned = ", ".join(f"{name} ({percent} %)" for name, percent in percents.items() if percent)
    move = f"move it with `tidegate traffic {objects.key(service).name} {revision}=100`"
    return f"revision {revision} gets 0 % of traffic, which is pinned to {pinned}; {move}"


async def ready(cluster: "HttpCluster", service: Object, seconds: float, report: progress.ShowLine) -> Object:
    """The Service when its change is in effect. Meanwhile, `report` gets each new reason to wait, after the last log
    lines of the app."""
    from tidegate.cli import readiness

    name = objects.key(service).name
    shown: list[str] = []

    async def show_lines(service: Object, *, ended: bool = False) -> None:
        nonlocal shown
        lines = await last_lines(cluster, service, ended=ended)
        if lines and lines != shown:
            shown = lines
            for line in lines:
                failures.remark(f"  {line}")

    async def report_waiting(service: Object, waiting: "readiness.Readiness") -> None:
        if waiting.by_app:
            await show_lines(service)
        report(f"{name}: {waiting.reason}")

    try:
        return await readiness.follow(cluster, service, readiness.deployed, seconds, report_waiting)
    except readiness.NotReady as failure:
        await show_lines(failure.service, ended=True)
        raise


async def last_lines(cluster: "HttpCluster", service: Object, *, ended: bool = False) -> list[str]:
    """The last log lines of an instance of the newest revision. `ended`: its run has ended. The next run may begin
    before the status shows the end, and then there are no lines yet: wait for them."""
    import asyncio

    from tidegate.cli import watching

    key = objects.key(service)
    revision = objects.status(service).get("latestCreatedRevisionName", "")
    listing = await cluster.list(kinds.POD, key.namespace, labels=f"{names.REVISION}={revision}")
    if not listing.items:
        return []
    with suppress(TimeoutError):
        async with (
            asyncio.timeout(_LINES_SECONDS),
            aclosing(watching.states(cluster, kinds.POD, objects.key(listing.items[0]))) as states,
        ):
            async for pod in states:
                if pod is None:
                    break
                lines = await _lines(cluster, pod)
                if lines or not ended:
                    return lines
    return []


async def _lines(cluster: "HttpCluster", pod: Object) -> list[str]:
    """The last lines of an instance's run, or of the previous run if there are none yet."""
    from tidegate.cli import instance_logs

    for previous in (False, True):
        lines: list[str] = []
        options = LogOptions(tail_lines=_LAST_LINES, previous=previous)
        await instance_logs.copy(cluster, pod, options, instance_logs.LogPrinter(lines.append))
        if lines:
            return lines
    return []
