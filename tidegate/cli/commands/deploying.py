# SPDX-License-Identifier: Apache-2.0
"""`tidegate deploy`: from a folder of source to a Service that answers."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

from tidegate.cli import options, problems, progress, readiness, urls
from tidegate.cli.commands import building, logs
from tidegate.cli.connection import connected, run
from tidegate.client.http import HttpCluster
from tidegate.model import errors, kinds, names, objects
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object

_LAST_LINES = 10


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a deploy asks of the Service; what it does not name stays as it is."""

    image: str
    env: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    concurrency: int | None = None


@click.command()
@click.argument("folder", type=options.FILE, metavar="DIR", help="The folder of the app's source.")
@click.option("--name", required=True, metavar="NAME", help="The service.")
@click.option("--env", multiple=True, metavar="NAME=VALUE", help="A variable for the app; may be given several times.")
@options.annotation
@click.option(
    "--concurrency",
    type=click.IntRange(min=0),
    metavar="N",
    help="The most requests an instance gets at once; 0: no bound.",
)
@options.wait("the revision is ready and gets its traffic")
@options.timeout(600)
@options.namespace
@options.data_dir
def deploy(
    folder: Path,
    name: str,
    env: Sequence[str],
    annotation: Sequence[str],
    concurrency: int | None,
    wait: bool,
    timeout: float,
    namespace: str,
    data_dir: Path | None,
) -> None:
    """Run an app from its source: build it, make a service of it (or its next revision), print its URL."""
    given = options.pairs(env), options.pairs(annotation)

    async def deploy_it() -> str:
        async with connected(data_dir, strict=True, warn=None) as cluster:
            with progress.shown() as tell:
                image = await asyncio.to_thread(building.built, folder, name, data_dir, tell)
                service = await put(cluster, Key(namespace, name), Wanted(image, *given, concurrency))
                if wait:
                    service = await ready(cluster, service, timeout, tell)
            return urls.of_service(service, data_dir)

    click.echo(run(deploy_it()))


async def put(cluster: HttpCluster, key: Key, wanted: Wanted) -> Object:
    """Create the Service, or change it where it is there."""
    try:
        current = await cluster.get(kinds.SERVICE, key)
    except errors.NotFound:
        template = desired_template({}, wanted)
        return await cluster.create(
            kinds.SERVICE,
            {
                "apiVersion": kinds.SERVICE.api_version,
                "kind": kinds.SERVICE.kind,
                "metadata": {"name": key.name, "namespace": key.namespace},
                "spec": {"template": template},
            },
        )
    template = desired_template(objects.spec(current).get("template") or {}, wanted)
    return await cluster.patch(kinds.SERVICE, key, {"spec": {"template": template}})


def desired_template(current: Object, wanted: Wanted) -> Object:
    """The revision template, as a merge patch of the current one; a name that was chosen for that is not used again."""
    metadata = current.get("metadata") or {}
    containers = objects.spec(current).get("containers") or [{}]
    first = {**containers[0], "image": wanted.image}
    kept = [entry for entry in first.get("env") or () if entry["name"] not in wanted.env]
    env = [*kept, *({"name": name, "value": value} for name, value in wanted.env.items())]
    template: Object = {
        "metadata": {
            **({"name": None} if metadata.get("name") else {}),
            **({"annotations": dict(wanted.annotations)} if wanted.annotations else {}),
        },
        "spec": {"containers": [{**first, **({"env": env} if env else {})}, *containers[1:]]},
    }
    if wanted.concurrency is not None:
        template["spec"]["containerConcurrency"] = wanted.concurrency
    return template


async def ready(cluster: HttpCluster, service: Object, seconds: float, tell: progress.Tell) -> Object:
    """The Service once it is Ready; where it cannot be, its app's last words go to stderr before the failure does."""
    key = objects.key(service)
    tell(f"{key.name}: waiting until it is ready")
    try:
        return await readiness.wait_ready(cluster, key, seconds, lambda why: tell(f"{key.name}: {why}"))
    except readiness.NotReady as failure:
        for line in await last_words(cluster, failure.service):
            problems.remark(f"  {line}")
        raise


async def last_words(cluster: HttpCluster, service: Object) -> list[str]:
    """The last lines that an instance of the newest revision wrote, of its last run where the one now wrote none."""
    key = objects.key(service)
    revision = objects.status(service).get("latestCreatedRevisionName", "")
    listing = await cluster.list(kinds.POD, key.namespace, labels=f"{names.REVISION}={revision}")
    for pod in listing.items:
        for previous in (False, True):
            written: list[str] = []
            lines = logs.Lines(written.append)
            await logs.copy(cluster, pod, LogOptions(tail_lines=_LAST_LINES, previous=previous), lines)
            if written:
                return written
    return []
