# SPDX-License-Identifier: Apache-2.0
"""`tidegate delete`: objects by name, by label or by the files that define them, with their dependents."""

from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import click

from tidegate.cli import failures, kind_names, manifests, options, watching
from tidegate.cli.connection import connected, run
from tidegate.cli.options import ManifestFiles, WaitOptions
from tidegate.cli.served_kinds import ServedKinds
from tidegate.client.cluster import Cluster
from tidegate.model import errors, objects
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key

KindAndKey = tuple[Kind, Key]


@dataclass(frozen=True, slots=True)
class SelectionOptions:
    """Which objects of a kind to delete without naming them."""

    selector: str
    everything: bool


@click.command()
@click.argument(
    "what",
    nargs=-1,
    metavar="[KIND [NAME]...]",
    help="Kind, and names of objects; or KIND/NAME ...; a kind without names needs -l or --all.",
)
@options.manifest_files(required=False)
@options.record(
    "selection",
    SelectionOptions,
    options.selector,
    click.option("--all", "everything", is_flag=True, help="Delete all objects of the kind in the namespace."),
)
@click.option("--ignore-not-found", is_flag=True, help="Do not fail if an object does not exist.")
@options.waiting("the objects are deleted", 120)
@options.data_dir
def delete(
    what: Sequence[str],
    files: ManifestFiles,
    selection: SelectionOptions,
    ignore_not_found: bool,
    waiting: WaitOptions,
    data_dir: Path | None,
) -> None:
    """Delete objects and their dependents."""
    if bool(what) == bool(files.filename):
        raise failures.Misuse("say which objects to delete: KIND NAME, or -f FILE")
    kinds = ServedKinds(data_dir)
    read = manifests.read(files.filename, files.namespace, kinds) if files.filename else []
    selected = kind_names.selected(what, kinds) if what else []
    if any(not each.name for each in selected) and not (selection.selector or selection.everything):
        raise failures.Misuse("deleting all objects of a kind needs --all, or -l to select some")

    async def delete_all() -> bool:
        async with connected(data_dir) as cluster:
            targets = [(manifest.kind, manifest.key) for manifest in read]
            for kind, name in selected:
                targets += await _targets(cluster, kind, files.namespace or "default", name, selection.selector)
            uids = [await _delete(cluster, *target, ignore_not_found=ignore_not_found) for target in targets]
            if waiting.wait:
                deleted = [(target, uid) for target, uid in zip(targets, uids, strict=True) if uid]
                await _wait(cluster, deleted, waiting.timeout)
            return None not in uids

    with failures.interruptible(lambda: "objects reported as deleted are still being deleted"):
        done = run(delete_all())
    if not done:
        raise SystemExit(1)


async def _targets(cluster: Cluster, kind: Kind, namespace: str, name: str, selector: str) -> list[KindAndKey]:
    within = namespace if kind.namespaced else ""
    if name:
        return [(kind, Key(within, name))]
    return [(kind, objects.key(obj)) for obj in (await cluster.list(kind, within, labels=selector)).items]


async def _delete(cluster: Cluster, kind: Kind, key: Key, *, ignore_not_found: bool) -> str | None:
    """Request the deletion of an object. Returns its uid; "" if a missing object was ignored, None for a failure."""
    try:
        uid = objects.uid(await cluster.get(kind, key))
        await cluster.delete(kind, key, uid=uid)
    except errors.NotFound as error:
        if ignore_not_found:
            return ""
        failures.print_error(str(error))
        return None
    except (errors.Conflict, errors.Forbidden) as error:
        failures.print_error(str(error))
        return None
    click.echo(f'{kind_names.full(kind)} "{key.name}" deleted')
    return uid


async def _wait(cluster: Cluster, deleted: Sequence[tuple[KindAndKey, str]], seconds: float) -> None:
    """Wait until none of the objects exists."""
    import asyncio

    shown = ""
    try:
        async with asyncio.timeout(seconds):
            for (kind, key), uid in deleted:
                shown = kind_names.shown(kind, key.name)
                async with aclosing(watching.states(cluster, kind, key)) as states:
                    async for state in states:
                        if state is None or objects.uid(state) != uid:
                            break
    except TimeoutError as error:
        raise failures.CommandFailure(f"{shown} still exists after {seconds:g} s") from error
