# SPDX-License-Identifier: Apache-2.0
"""`tidegate traffic`: the split of a service's traffic over its revisions, their tags and mirrors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from tidegate.cli import columns, failures, options, progress, urls
from tidegate.cli.connection import connected, run
from tidegate.cli.failures import Misuse
from tidegate.cli.options import Scope, WaitOptions
from tidegate.cli.traffic_split import ALL, LATEST, desired_traffic, resolved
from tidegate.client.cluster import Cluster
from tidegate.model import kinds, mirroring, names, objects
from tidegate.model.objects import Key, Object


@dataclass(frozen=True, slots=True)
class SplitOptions:
    """Changes beside the shares: revisions and tags to add, tags to remove, percent by mirror target."""

    tag: Sequence[tuple[str, str]]
    untag: Sequence[str]
    mirror: Mapping[str, int]


@click.command()
@click.argument("name", metavar="NAME", help="Service to show or to change.")
@click.argument(
    "shares",
    nargs=-1,
    metavar="[REVISION=PERCENT]...",
    callback=options.parsed(options.percents, "REVISION=PERCENT"),
    help="Share of a revision, named in full or by its suffix (00001 or 1 for NAME-00001); @latest for the newest.",
)
@options.record(
    "changes",
    SplitOptions,
    click.option(
        "--tag",
        multiple=True,
        metavar="REVISION=TAG",
        callback=options.parsed(options.pairs, "REVISION=TAG"),
        help="Give a revision the tag, and with it a host of its own; repeatable.",
    ),
    click.option("--untag", multiple=True, metavar="TAG", help="Remove a tag; repeatable."),
    click.option(
        "--mirror",
        multiple=True,
        metavar="TAG=PERCENT",
        callback=options.parsed(options.percents, "TAG=PERCENT"),
        help="TAG=PERCENT or REVISION=PERCENT: mirror that share of requests to it; 0 stops mirroring; repeatable.",
    ),
)
@options.waiting("the new split is in effect", 60)
@options.scope
def traffic(name: str, shares: Mapping[str, int], changes: SplitOptions, waiting: WaitOptions, scope: Scope) -> None:
    """Split a service's traffic between its revisions, or mirror it. Without shares and options, show the split."""
    if shares and sum(shares.values()) != ALL:
        raise Misuse(f"the shares must add up to {ALL}, these are {sum(shares.values())}")
    splits = bool(shares or changes.tag or changes.untag)
    state = "nothing was changed"

    async def change() -> Object:
        nonlocal state
        async with connected(scope.data_dir, strict=True, warn=None) as cluster:
            service = await cluster.get(kinds.SERVICE, Key(scope.namespace, name))
            if splits or changes.mirror:
                patch = await _patch(cluster, service, shares, changes, splits=splits)
                service = await cluster.patch(kinds.SERVICE, objects.key(service), patch)
                state = f"the new split of {name} was written and will take effect: see `tidegate traffic {name}`"
                if waiting.wait and splits:  # a change of the mirrors alone makes no generation to wait for
                    service = await _in_effect(cluster, service, waiting.timeout)
            return service

    with failures.interruptible(lambda: state):
        service = run(change())
    for line in columns.Columns().lines(_rows(service, scope.data_dir)):
        click.echo(line)


async def _patch(
    cluster: Cluster, service: Object, shares: Mapping[str, int], changes: SplitOptions, *, splits: bool
) -> Object:
    """A merge patch of the Service for the shares, tags and mirrors."""
    key = objects.key(service)
    listing = await cluster.list(kinds.REVISION, key.namespace, labels=f"{names.SERVICE}={key.name}")
    revisions = [objects.key(revision).name for revision in listing.items]
    targets = desired_traffic(
        objects.spec(service).get("traffic") or [],
        {resolved(key.name, word, revisions): percent for word, percent in shares.items()},
        {tag: resolved(key.name, word, revisions) for word, tag in changes.tag},
        changes.untag,
    )
    known = {entry.get("tag") for entry in targets} | dict(mirroring.mirrors(service)).keys()
    mirrored = {
        target if target in known else resolved(key.name, target, revisions): percent
        for target, percent in changes.mirror.items()
    }
    return {**_mirror_patch(service, mirrored), **({"spec": {"traffic": targets}} if splits else {})}


def _mirror_patch(service: Object, changes: Mapping[str, int]) -> Object:
    """A merge patch of the annotation for mirrors; mirrors that are not named stay."""
    if not changes:
        return {}
    percents = {name: percent for name, percent in {**dict(mirroring.mirrors(service)), **changes}.items() if percent}
    return {"metadata": {"annotations": {names.MIRROR: mirroring.annotation(percents) or None}}}


async def _in_effect(cluster: Cluster, service: Object, seconds: float) -> Object:
    from tidegate.cli import readiness

    with progress.shown() as report:
        return await readiness.follow(cluster, service, readiness.routed, seconds, readiness.by_line(report))


def _rows(service: Object, data_dir: Path | None) -> columns.Rows:
    """The split that is in effect; before the first, the requested one."""
    split = objects.status(service).get("traffic") or objects.spec(service).get("traffic") or []
    cells = []
    for entry in split:
        revision = str(entry.get("revisionName") or "")
        latest = f"{LATEST} ({revision})" if revision else LATEST
        shown = latest if entry.get("latestRevision") else revision
        url = urls.reachable(str(entry.get("url") or ""), data_dir)
        cells.append([shown, f"{entry.get('percent') or 0}%", entry.get("tag") or "", url])
    cells += [[name, f"{percent}% mirrored", "", ""] for name, percent in mirroring.mirrors(service)]
    return columns.Rows(("REVISION", "PERCENT", "TAG", "URL"), cells)
