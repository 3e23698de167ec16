# SPDX-License-Identifier: Apache-2.0
"""`tidegate traffic`: who gets how much of a service's traffic, and which tag leads where."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import click

from tidegate.cli import columns, options, problems, progress, urls
from tidegate.cli.connection import connected, run
from tidegate.cli.problems import Misuse, Problem
from tidegate.client.cluster import Cluster
from tidegate.model import kinds, mirroring, names, objects
from tidegate.model.objects import Key, Object

LATEST = "@latest"
"""How the command line calls whichever revision became ready last."""

_ALL = 100
_GENERATION = 5  # digits in the names that Knative gives revisions


@click.command()
@click.argument("name", metavar="NAME", help="The service.")
@click.argument(
    "shares",
    nargs=-1,
    metavar="[REVISION=PERCENT]...",
    help="A revision by its name or its suffix (00001 or 1 for NAME-00001); @latest for the newest.",
)
@click.option("--tag", multiple=True, metavar="REVISION=TAG", help="Give a revision a host of its own.")
@click.option("--untag", multiple=True, metavar="TAG", help="Remove a tag.")
@click.option(
    "--mirror",
    multiple=True,
    metavar="TAG=PERCENT",
    help="Or REVISION=PERCENT: mirror that share of the requests to it; 0 stops mirroring.",
)
@options.wait("the new split is in effect")
@options.timeout(60)
@options.namespace
@options.data_dir
def traffic(
    name: str,
    shares: Sequence[str],
    tag: Sequence[str],
    untag: Sequence[str],
    mirror: Sequence[str],
    wait: bool,
    timeout: float,
    namespace: str,
    data_dir: Path | None,
) -> None:
    """Split a service's traffic between its revisions, or mirror it; without any of that, show how it is split."""
    percents = {revision: _percent(revision, text) for revision, text in _pairs(shares, "REVISION=PERCENT")}
    if percents and sum(percents.values()) != _ALL:
        raise Misuse(f"the shares must add up to 100, these are {sum(percents.values())}")
    tags = {tagged: revision for revision, tagged in _pairs(tag, "REVISION=TAG")}
    copies = {target: _percent(target, text) for target, text in _pairs(mirror, "TAG=PERCENT")}
    splits = bool(percents or tags or untag)

    state = "nothing was changed"

    async def change() -> Object:
        nonlocal state
        async with connected(data_dir, strict=True, warn=None) as cluster:
            key = Key(namespace, name)
            service = await cluster.get(kinds.SERVICE, key)
            if splits or copies:
                listing = await cluster.list(kinds.REVISION, namespace, labels=f"{names.SERVICE}={name}")
                found = [objects.key(revision).name for revision in listing.items]
                wanted = desired_traffic(
                    objects.spec(service).get("traffic") or [],
                    {resolved(name, word, found): percent for word, percent in percents.items()},
                    {tagged: resolved(name, word, found) for tagged, word in tags.items()},
                    untag,
                )
                known = {entry.get("tag") for entry in wanted} | dict(mirroring.mirrors(service)).keys()
                mirrored = {
                    target if target in known else resolved(name, target, found): percent
                    for target, percent in copies.items()
                }
                patch = _mirroring(service, mirrored)
                if splits:
                    patch["spec"] = {"traffic": wanted}
                service = await cluster.patch(kinds.SERVICE, key, patch)
                state = f"the new split of {name} was written and will take effect: see `tidegate traffic {name}`"
                if wait and splits:  # an annotation makes no generation whose state could be waited for
                    service = await _in_force(cluster, service, timeout)
            return service

    with problems.interruptible(lambda: state):
        service = run(change())
    for line in columns.Columns().lines(_rows(service, data_dir)):
        click.echo(line)


async def _in_force(cluster: Cluster, service: Object, seconds: float) -> Object:
    from tidegate.cli import readiness

    with progress.shown() as tell:
        return await readiness.follow(cluster, service, readiness.routed, seconds, readiness.by_line(tell))


def _pairs(texts: Sequence[str], form: str) -> list[tuple[str, str]]:
    pairs = []
    for text in texts:
        left, equals, right = text.partition("=")
        if not (left and equals and right):
            raise Misuse(f'"{text}" is not {form}')
        pairs.append((left, right))
    return pairs


def _percent(revision: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > _ALL:
        raise Misuse(f'"{revision}={text}": a share is a whole number from 0 to 100')
    return int(text)


def resolved(service: str, word: str, revisions: Collection[str]) -> str:
    """The revision that a word means: its name, or the end of it.

    | word        | means for the service hello |
    | --- | --- |
    | @latest     | whichever is the latest ready |
    | hello-00001 | hello-00001 |
    | 00001, 1    | hello-00001 |
    | green       | hello-green |
    """
    if word == LATEST:
        return LATEST
    for name in (word, f"{service}-{word}", f"{service}-{word.zfill(_GENERATION)}"):
        if name in revisions:
            return name
    there = ", ".join(sorted(revisions)) or "none"
    raise Problem(f"{service} has no revision {word}; it has {there}")


def desired_traffic(
    current: Sequence[Object], percents: Mapping[str, int], tags: Mapping[str, str], untag: Collection[str]
) -> list[Object]:
    """What `spec.traffic` is to be: `percents` by revision (none: as now), and `tags` added to those there are."""
    for tag in untag:
        if all(entry.get("tag") != tag for entry in current):
            raise Problem(f"there is no tag {tag}")
    shares = {revision: percent for revision, percent in (percents or _shares(current)).items() if percent}
    tagged = {entry["tag"]: _revision(entry) for entry in current if entry.get("tag")} | dict(tags)
    wanted = []
    for revision in dict.fromkeys([*shares, *tagged.values()]):
        own = [tag for tag, target in tagged.items() if target == revision and tag not in untag]
        first, *others = own or [""]
        if own or revision in shares:
            wanted.append(_target(revision, percent=shares.get(revision, 0), tag=first))
        wanted += [_target(revision, tag=other) for other in others]
    return wanted


def _shares(current: Sequence[Object]) -> dict[str, int]:
    shares: dict[str, int] = {}
    for entry in current:
        shares[_revision(entry)] = shares.get(_revision(entry), 0) + int(entry.get("percent") or 0)
    return shares or {LATEST: _ALL}


def _revision(entry: Object) -> str:
    return str(entry.get("revisionName") or LATEST)


def _target(revision: str, *, percent: int = 0, tag: str = "") -> Object:
    return {
        **({"latestRevision": True} if revision == LATEST else {"revisionName": revision, "latestRevision": False}),
        "percent": percent,
        **({"tag": tag} if tag else {}),
    }


def _mirroring(service: Object, changes: Mapping[str, int]) -> Object:
    """What to merge into the service so that it is mirrored as before but for these."""
    if not changes:
        return {}
    percents = {name: percent for name, percent in {**dict(mirroring.mirrors(service)), **changes}.items() if percent}
    return {"metadata": {"annotations": {names.MIRROR: mirroring.annotation(percents) or None}}}


def _rows(service: Object, data_dir: Path | None) -> columns.Rows:
    """What the service says of its traffic: what is, or what is asked for where that is not known yet."""
    told = objects.status(service).get("traffic") or objects.spec(service).get("traffic") or []
    cells = []
    for entry in told:
        revision = str(entry.get("revisionName") or "")
        latest = f"{LATEST} ({revision})" if revision else LATEST
        shown = latest if entry.get("latestRevision") else revision
        url = urls.reachable(str(entry.get("url") or ""), data_dir)
        cells.append([shown, f"{entry.get('percent') or 0}%", entry.get("tag") or "", url])
    cells += [[name, f"{percent}% mirrored", "", ""] for name, percent in mirroring.mirrors(service)]
    return columns.Rows(("REVISION", "PERCENT", "TAG", "URL"), cells)
