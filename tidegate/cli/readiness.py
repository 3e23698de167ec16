# SPDX-License-Identifier: Apache-2.0
"""Waiting until a Service is Ready for what its spec says now, and what is told meanwhile."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

from tidegate.cli import watching
from tidegate.cli.problems import Problem
from tidegate.client.cluster import Cluster
from tidegate.model import kinds
from tidegate.model.conditions import condition, is_ready
from tidegate.model.objects import Key, Object, generation, status


class NotReady(Problem):
    """A Service that says it cannot become Ready as it is."""

    def __init__(self, service: Object, why: str) -> None:
        super().__init__(f"{service['metadata']['name']} is not ready: {why}")
        self.service = service


async def wait_ready(
    cluster: Cluster, key: Key, seconds: float, progress: Callable[[str], None] = lambda message: None
) -> Object:
    """The Service once it is Ready. `progress` is told why it is not yet. Raises `NotReady` when Ready is False."""
    told = ""
    try:
        async with asyncio.timeout(seconds), aclosing(watching.states(cluster, kinds.SERVICE, key)) as states:
            async for service in states:
                if service is None:
                    raise Problem(f"{key.name} was deleted")
                if is_ready(service):
                    return service
                ready = condition(service, "Ready")
                why = f"{ready.get('reason', '')}: {ready.get('message', '')}".strip(": ")
                current = status(service).get("observedGeneration") == generation(service)
                if current and ready["status"] == "False":
                    raise NotReady(service, why)
                if why and why != told:
                    told = why
                    progress(why)
    except TimeoutError as error:
        raise Problem(f"{key.name} is not ready after {seconds:g} s{f': {told}' if told else ''}") from error
    raise RuntimeError("the states of an object ended")
