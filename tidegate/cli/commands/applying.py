# SPDX-License-Identifier: Apache-2.0
"""`tidegate apply`: bring objects in line with files, as `kubectl apply` does on the client's side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import click

from tidegate.cli import manifests, merge, options, problems, progress, words
from tidegate.cli.connection import connected, run
from tidegate.cli.manifests import Manifest
from tidegate.cli.served_kinds import ServedKinds
from tidegate.client.cluster import Cluster
from tidegate.model import errors, kinds
from tidegate.model.objects import Object

Outcome = Literal["created", "configured", "unchanged"]


@click.command()
@options.files(required=True)
@click.option("--wait", is_flag=True, help="Wait until the Services are ready and get their traffic.")
@options.timeout(600)
@options.namespace_of_files
@options.data_dir
def apply(filename: Sequence[str], wait: bool, timeout: float, namespace: str | None, data_dir: Path | None) -> None:
    """Create or change objects so that they are as files say."""
    wanted = manifests.read(filename, namespace, ServedKinds(data_dir))
    with problems.interruptible(lambda: "objects reported as created or configured stay so"):
        failed = run(_apply_all(wanted, data_dir, timeout if wait else None))
    if failed:
        raise SystemExit(1)


async def _apply_all(wanted: Sequence[Manifest], data_dir: Path | None, patience: float | None) -> int:
    """Apply one after the other; one that fails does not stop the next. `patience`: seconds to wait for each Service,
    once all are applied; None for not at all. Returns how many failed."""
    failed = 0
    services: list[tuple[str, Object]] = []
    async with connected(data_dir, strict=True) as cluster:
        for manifest in wanted:
            shown = words.shown(manifest.kind, manifest.key.name)
            try:
                outcome, applied = await apply_one(cluster, manifest)
            except errors.ServiceUnavailable:
                raise
            except errors.ApiError as error:
                problems.tell(str(error), about=f"{manifest.source}: {shown}")
                failed += 1
                continue
            click.echo(f"{shown} {outcome}")
            if manifest.kind == kinds.SERVICE:
                services.append((shown, applied))
        if patience is not None:
            failed += await _wait(cluster, services, patience)
    return failed


async def _wait(cluster: Cluster, services: Sequence[tuple[str, Object]], seconds: float) -> int:
    """Wait until what was applied is in force. Returns how many failed."""
    from tidegate.cli import readiness

    failed = 0
    with progress.shown() as tell:
        for shown, applied in services:
            try:
                await readiness.follow(cluster, applied, readiness.deployed, seconds, readiness.by_line(tell))
            except problems.Problem as problem:
                problems.tell(str(problem))
                failed += 1
            else:
                click.echo(f"{shown} is ready")
    return failed


class Applied(NamedTuple):
    """What became of a manifest, and the object as it is then."""

    outcome: Outcome
    object: Object


async def apply_one(cluster: Cluster, manifest: Manifest) -> Applied:
    """Make one object what its manifest says."""
    kind, key = manifest.kind, manifest.key
    modified = merge.with_last_applied(manifest.object)
    try:
        current = await cluster.get(kind, key)
    except errors.NotFound:
        return Applied("created", await cluster.create(kind, modified))
    patch = merge.three_way(merge.last_applied(current), modified, current)
    if not patch:
        return Applied("unchanged", current)
    written = await cluster.patch(kind, key, patch)
    same = written["metadata"]["resourceVersion"] == current["metadata"]["resourceVersion"]
    return Applied("unchanged" if same else "configured", written)
