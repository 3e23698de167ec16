# SPDX-License-Identifier: Apache-2.0
"""`tidegate apply`: bring objects in line with files, as `kubectl apply` does on the client's side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from tidegate.cli import manifests, merge, options, problems, words
from tidegate.cli.connection import connected, run
from tidegate.cli.manifests import Manifest
from tidegate.client.cluster import Cluster
from tidegate.model import errors

Outcome = Literal["created", "configured", "unchanged"]


@click.command()
@options.files(required=True)
@options.namespace_of_files
@options.data_dir
def apply(filename: Sequence[str], namespace: str | None, data_dir: Path | None) -> None:
    """Create or change objects so that they are as files say."""
    if run(_apply_all(manifests.read(filename, namespace), data_dir)):
        raise SystemExit(1)


async def _apply_all(wanted: Sequence[Manifest], data_dir: Path | None) -> int:
    """Apply one after the other; one that fails does not stop the next. Returns how many failed."""
    failed = 0
    async with connected(data_dir, strict=True) as cluster:
        for manifest in wanted:
            shown = words.shown(manifest.kind, manifest.key.name)
            try:
                click.echo(f"{shown} {await apply_one(cluster, manifest)}")
            except errors.ServiceUnavailable:
                raise
            except errors.ApiError as error:
                problems.tell(str(error), about=f"{manifest.source}: {shown}")
                failed += 1
    return failed


async def apply_one(cluster: Cluster, manifest: Manifest) -> Outcome:
    """Make one object what its manifest says."""
    kind, key = manifest.kind, manifest.key
    modified = merge.with_last_applied(manifest.object)
    try:
        current = await cluster.get(kind, key)
    except errors.NotFound:
        await cluster.create(kind, modified)
        return "created"
    patch = merge.three_way(merge.last_applied(current), modified, current)
    if not patch:
        return "unchanged"
    written = await cluster.patch(kind, key, patch)
    same = written["metadata"]["resourceVersion"] == current["metadata"]["resourceVersion"]
    return "unchanged" if same else "configured"
