# SPDX-License-Identifier: Apache-2.0
"""`tidegate deploy`: from a folder of source to a Service that answers."""

from collections.abc import Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tidegate.cli import options, problems, progress, urls
from tidegate.cli.commands import building
from tidegate.cli.connection import connected, run
from tidegate.model import errors, kinds, names, objects
from tidegate.model.logs import LogOptions
from tidegate.model.objects import Key, Object
from tidegate.model.text import syntax

if TYPE_CHECKING:
    from tidegate.bundles.bundle import Bundle
    from tidegate.cli import readiness
    from tidegate.client.http import HttpCluster

_LAST_LINES = 10
_LINES_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a deploy asks of the Service; what it does not name stays as it is, and None removes."""

    image: str
    env: Mapping[str, str | None] = field(default_factory=dict)
    annotations: Mapping[str, str | None] = field(default_factory=dict)
    concurrency: int | None = None


@click.command()
@click.argument("folder", type=options.FILE, metavar="DIR", help="The folder of the app's source.")
@click.option("--name", required=True, metavar="NAME", help="The service.")
@click.option(
    "--env",
    multiple=True,
    metavar="NAME=VALUE",
    help="A variable for the app; NAME- removes it; may be given several times.",
)
@options.annotation
@click.option(
    "--concurrency",
    type=options.Whole(min=0),
    metavar="N",
    help="The most requests an instance gets at once; 0: no bound.",
)
@options.include
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
    include: Sequence[str],
    wait: bool,
    timeout: float,
    namespace: str,
    data_dir: Path | None,
) -> None:
    """Run an app from its source: build it, make a service of it (or its next revision), print its URL."""
    given = options.changes(env), options.changes(annotation)
    if syntax.dns_1035_label(name):
        raise problems.Misuse(
            f'--name: "{name}" cannot name a service: it takes lower-case letters, digits and dashes, begins with a '
            "letter, ends with no dash, and has at most 63 of them"
        )
    key = Key(namespace, name)
    state = "nothing was changed"

    async def deploy_it(bundle: "Bundle") -> Object:
        nonlocal state
        wanted = Wanted(bundle.image, *given, concurrency)
        async with connected(data_dir, strict=True, warn=None) as cluster:
            before = await find(cluster, key)
            if bundle.release:
                tell(f"{name}: running the release command")
                await _release(cluster, key, before, wanted, bundle.release)
            service = await put(cluster, key, before, wanted)
            state = _left(name, before, service)
            return await ready(cluster, service, timeout, tell) if wait else service

    with problems.interruptible(lambda: state), progress.shown() as tell:
        run(_reached(key, data_dir))
        bundle = building.built(folder, name, data_dir, tell, include)
        service = run(deploy_it(bundle))
    problems.remark(share(service) if wait else f"{name} becomes ready by itself: see `tidegate status`")
    if url := urls.of_service(service, data_dir):
        click.echo(url)
        if hint := urls.hint(url):
            problems.remark(hint)


async def _reached(key: Key, data_dir: Path | None) -> None:
    """Fail before a build where no Tidegate would take it."""
    async with connected(data_dir) as cluster:
        await find(cluster, key)


async def _release(
    cluster: "HttpCluster", key: Key, current: Object | None, wanted: Wanted, command: Sequence[str]
) -> None:
    """Run the app's release command as the next revision would run. Raises `ReleaseFailed`."""
    from tidegate.cli import release

    template = objects.spec(current or {}).get("template") or {}
    next_spec = {**objects.spec(template), **desired_template(template, wanted)["spec"]}
    await release.run(cluster, key, {"spec": next_spec}, command, lambda line: problems.remark(f"  {line}"))


def _left(name: str, before: Object | None, service: Object) -> str:
    """What stays when the command ends now."""
    if before is None:
        return f"the service {name} was created and is still starting; remove it with `tidegate delete ksvc {name}`"
    if objects.generation(before) == objects.generation(service):
        return f"the service {name} stays as it was"
    return f"the service {name} was changed and its new revision is still starting: see `tidegate status`"


def share(service: Object) -> str:
    """Which revision a deploy made, and how much of the traffic it gets."""
    told = objects.status(service)
    revision, split = told.get("latestCreatedRevisionName", ""), told.get("traffic") or []
    percents = {target.get("revisionName"): 0 for target in split}
    for target in split:
        percents[target.get("revisionName")] += int(target.get("percent") or 0)
    if percents.get(revision):
        return f"revision {revision}, {percents[revision]} % of traffic"
    pinned = ", ".join(f"{name} ({percent} %)" for name, percent in percents.items() if percent)
    move = f"move it with `tidegate traffic {objects.key(service).name} {revision}=100`"
    return f"revision {revision} gets 0 % of traffic, which is pinned to {pinned}; {move}"


async def find(cluster: "HttpCluster", key: Key) -> Object | None:
    """The Service, if there is one."""
    try:
        return await cluster.get(kinds.SERVICE, key)
    except errors.NotFound:
        return None


async def put(cluster: "HttpCluster", key: Key, current: Object | None, wanted: Wanted) -> Object:
    """Create the Service, or change the one there is."""
    if current is not None:
        template = desired_template(objects.spec(current).get("template") or {}, wanted)
        return await cluster.patch(kinds.SERVICE, key, {"spec": {"template": template}})
    template = desired_template({}, wanted)
    metadata = {"name": key.name, "namespace": key.namespace}
    made = {"apiVersion": kinds.SERVICE.api_version, "kind": kinds.SERVICE.kind, "metadata": metadata}
    return await cluster.create(kinds.SERVICE, {**made, "spec": {"template": template}})


def desired_template(current: Object, wanted: Wanted) -> Object:
    """The revision template, as a merge patch of the current one; a name that was chosen for that is not used again."""
    metadata = current.get("metadata") or {}
    containers = objects.spec(current).get("containers") or [{}]
    first = {**containers[0], "image": wanted.image}
    kept = [entry for entry in first.pop("env", ()) if entry["name"] not in wanted.env]
    env = [*kept, *({"name": name, "value": value} for name, value in wanted.env.items() if value is not None)]
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


async def ready(cluster: "HttpCluster", service: Object, seconds: float, tell: progress.Tell) -> Object:
    """The Service once the change is in force. What an instance waits for or fails of is told at once, after the last
    lines that its app wrote."""
    from tidegate.cli import readiness

    name = objects.key(service).name
    shown: list[str] = []

    async def show_lines(service: Object, *, ended: bool = False) -> None:
        nonlocal shown
        lines = await last_words(cluster, service, ended=ended)
        if lines and lines != shown:
            shown = lines
            for line in lines:
                problems.remark(f"  {line}")

    async def told(service: Object, waiting: "readiness.Progress") -> None:
        if waiting.by_app:
            await show_lines(service)
        tell(f"{name}: {waiting.why}")

    try:
        return await readiness.follow(cluster, service, readiness.deployed, seconds, told)
    except readiness.NotReady as failure:
        await show_lines(failure.service, ended=True)
        raise


async def last_words(cluster: "HttpCluster", service: Object, *, ended: bool = False) -> list[str]:
    """The last lines that an instance of the newest revision wrote. `ended`: its run has; the next one may have begun
    before the status says so, and until then there is nothing to read: that is waited for."""
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
    """The last lines of an instance's run, or of the one before where it wrote none yet."""
    from tidegate.cli import instance_logs

    for previous in (False, True):
        written: list[str] = []
        options = LogOptions(tail_lines=_LAST_LINES, previous=previous)
        await instance_logs.copy(cluster, pod, options, instance_logs.Lines(written.append))
        if written:
            return written
    return []
