# SPDX-License-Identifier: Apache-2.0
"""The release command of a deploy: the Procfile's line `release:`, run before the Service is changed.

In: the Service's next template, and the command. Out: nothing if the command exits with 0; else `ReleaseFailed`, and
the Service stays unchanged. The command runs as a Pod of its own. So the node agent gives it the same user, environment
with Secrets, limits and folder as the app. The Pod is deleted afterwards.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress

from tidegate.cli import watching
from tidegate.cli.failures import CommandFailure
from tidegate.cli.instance_logs import Followers, LogPrinter
from tidegate.client.http import HttpCluster
from tidegate.model import errors, kinds, objects
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object

_OF_POD = ("serviceAccountName", "securityContext")
_OF_CONTAINER = ("image", "env", "envFrom", "resources", "securityContext", "workingDir")


class ReleaseFailed(CommandFailure):
    """The release command failed, and nothing was deployed."""


async def run(
    cluster: HttpCluster, service: Key, template: Object, command: Sequence[str], report: Callable[[str], None]
) -> None:
    """Run the command to its end; `report` gets each line of its output."""
    pod = await cluster.create(kinds.POD, desired_pod(service, template, command))
    key = objects.key(pod)
    try:
        failure = await _ended(cluster, key, report)
    finally:
        with suppress(errors.NotFound):
            await cluster.delete(kinds.POD, key)
    if failure:
        raise ReleaseFailed(f"the release command of {service.name} failed: {failure}; nothing was deployed")


def desired_pod(service: Key, template: Object, command: Sequence[str]) -> Object:
    """A Pod that runs the command once, with the settings of the template's first container."""
    spec = objects.spec(template)
    first = spec["containers"][0]
    env = [
        *first.get("env", ()),
        {"name": "K_SERVICE", "value": service.name},
        {"name": "K_CONFIGURATION", "value": service.name},
    ]
    container = {field: first[field] for field in _OF_CONTAINER if field in first}
    return {
        "apiVersion": kinds.POD.api_version,
        "kind": kinds.POD.kind,
        "metadata": {"name": f"{service.name[:40]}-release-{secrets.token_hex(3)}", "namespace": service.namespace},
        "spec": {
            **{field: spec[field] for field in _OF_POD if field in spec},
            "restartPolicy": "Never",
            "containers": [{**container, "name": "release", "command": list(command), "env": env}],
        },
    }


async def _ended(cluster: HttpCluster, pod: Key, report: Callable[[str], None]) -> str:
    """Wait for its end. Returns the reason of a failure, "" for success."""
    async with asyncio.TaskGroup() as group, aclosing(watching.states(cluster, kinds.POD, pod)) as states:
        followers = Followers(cluster, group, LogPrinter(report))
        async for state in states:
            if state is None:
                return "its Pod was deleted"
            followers.see(state, LogOptions(follow=True))
            if (failure := outcome(state)) is not None:
                return failure
    raise AssertionError("a watch of one object has no end")


def outcome(pod: Object) -> str | None:
    """None while it runs or waits for capacity, "" for success, else the reason of the failure."""
    status = objects.status(pod)
    statuses: Sequence[Object] = status.get("containerStatuses") or ({},)
    state = statuses[0].get("state") or {}
    if status.get("phase") == "Succeeded":
        return ""
    if "terminated" in state:
        ended = state["terminated"]
        return f"{ended.get('reason', 'Error')}, exit code {ended.get('exitCode')}" if ended.get("exitCode") else None
    waiting = state.get("waiting") or {}
    if status.get("phase") == "Failed" or waiting.get("message"):
        return str(waiting.get("message") or status.get("message") or status.get("reason") or "it could not start")
    return None
