# SPDX-License-Identifier: Apache-2.0
"""`tidegate apply`: create or change objects so that they match files, as `kubectl apply` does on the client's side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import click

from tidegate.cli import failures, kind_names, manifests, merge, options, progress
from tidegate.cli.connection import connected, run
from tidegate.cli.manifests import Manifest
from tidegate.cli.options import ManifestFiles, WaitOptions
from tidegate.cli.served_kinds import ServedKinds
from tidegate.client.cluster import Cluster
from tidegate.model import errors, kinds
from tidegate.model.objects import Object

Outcome = Literal["created", "configured", "unchanged"]


@click.command()
@options.manifest_files(required=True)
@options.waiting("the Services are ready and get their traffic", 600, default=False)
@options.data_dir
def apply(files: ManifestFiles, waiting: WaitOptions, data_dir: Path | None) -> None:
    """Create or change objects so that they match files."""
    read = manifests.read(files.filename, files.namespace, ServedKinds(data_dir))
    with failures.interruptible(lambda: "objects reported as created or configured stay so"):
        failed = run(_apply_all(read, data_dir, waiting.seconds))
    if failed:
        raise SystemExit(1)


async def _apply_all(read: Sequence[Manifest], data_dir: Path | None, seconds: float | None) -> int:
    """Apply all manifests in order; a failure does not stop the next one. `seconds`: maximum time to wait for each
    Service afterwards; None: do not wait. Returns the number of failures."""
    failed = 0
    services: list[tuple[str, Object]] = []
    async with connected(data_dir, strict=True) as cluster:
        for manifest in read:
            shown = kind_names.shown(manifest.kind, manifest.key.name)
            try:
                outcome, applied = await apply_one(cluster, manifest)
            except errors.ServiceUnavailable:
                raise
            except errors.ApiError as error:
                failures.print_error(str(error), about=f"{manifest.source}: {shown}")
                failed += 1
                continue
            click.echo(f"{shown} {outcome}")
            if manifest.kind == kinds.SERVICE:
                services.append((shown, applied))
        if seconds is not None:
            failed += await _wait(cluster, services, seconds)
    return failed


async def _wait(cluster: Cluster, services: Sequence[tuple[str, Object]], seconds: float) -> int:
    """Wait until the applied Services are ready. Returns the number of failures."""
    from tidegate.cli import readiness

    failed = 0
    with progress.shown() as report:
        for shown, applied in services:
            try:
                await readiness.follow(cluster, applied, readiness.deployed, seconds, readiness.by_line(report))
            except failures.CommandFailure as failure:
                failures.print_error(str(failure))
                failed += 1
            else:
                click.echo(f"{shown} is ready")
    return failed


class Applied(NamedTuple):
    """The outcome for a manifest, and the object afterwards."""

    outcome: Outcome
    object: Object


async def apply_one(cluster: Cluster, manifest: Manifest) -> Applied:
    """Create or change one object so that it matches its manifest."""
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
