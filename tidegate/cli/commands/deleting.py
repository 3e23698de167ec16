# SPDX-License-Identifier: Apache-2.0
"""`tidegate delete`: objects by name, by label or by the files that made them, and all that belongs to them."""

from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

import click

from tidegate.cli import manifests, options, problems, watching, words
from tidegate.cli.connection import connected, run
from tidegate.cli.served_kinds import ServedKinds
from tidegate.client.cluster import Cluster
from tidegate.model import errors, objects
from tidegate.model.kinds import Kind
from tidegate.model.objects import Key

Target = tuple[Kind, Key]


@click.command()
@click.argument("what", nargs=-1, metavar="[KIND [NAME]...]", help="Or KIND/NAME ...; KIND alone with -l or --all.")
@options.files(required=False)
@options.namespace_of_files
@options.selector
@click.option("--all", "everything", is_flag=True, help="All objects of the kind in the namespace.")
@click.option("--ignore-not-found", is_flag=True, help="Do not fail if an object does not exist.")
@options.wait("the objects are deleted")
@options.timeout(120)
@options.data_dir
def delete(
    what: Sequence[str],
    filename: Sequence[str],
    namespace: str | None,
    selector: str,
    everything: bool,
    ignore_not_found: bool,
    wait: bool,
    timeout: float,
    data_dir: Path | None,
) -> None:
    """Delete objects, and with them what they own."""
    if bool(what) == bool(filename):
        raise problems.Misuse("say what to delete: KIND NAME, or -f FILE")
    kinds = ServedKinds(data_dir)
    files = manifests.read(filename, namespace, kinds) if filename else []
    wanted = words.wanted(what, kinds) if what else []
    if any(not want.name for want in wanted) and not (selector or everything):
        raise problems.Misuse("deleting all objects of a kind needs --all, or -l to select some")

    async def delete_all() -> bool:
        async with connected(data_dir) as cluster:
            targets = [(manifest.kind, manifest.key) for manifest in files]
            for kind, name in wanted:
                targets += await _targets(cluster, kind, namespace or "default", name, selector)
            begun = [await _begin(cluster, *target, ignore_not_found=ignore_not_found) for target in targets]
            if wait:
                await _wait_gone(
                    cluster, [(target, uid) for target, uid in zip(targets, begun, strict=True) if uid], timeout
                )
            return None not in begun

    with problems.interruptible(lambda: "objects reported as deleted are still being deleted"):
        done = run(delete_all())
    if not done:
        raise SystemExit(1)


async def _targets(cluster: Cluster, kind: Kind, namespace: str, name: str, selector: str) -> list[Target]:
    within = namespace if kind.namespaced else ""
    if name:
        return [(kind, Key(within, name))]
    return [(kind, objects.key(obj)) for obj in (await cluster.list(kind, within, labels=selector)).items]


async def _begin(cluster: Cluster, kind: Kind, key: Key, *, ignore_not_found: bool) -> str | None:
    """Ask for the deletion. Returns the uid of what goes, "" where nothing was and need not be, None at a failure."""
    try:
        uid = objects.uid(await cluster.get(kind, key))
        await cluster.delete(kind, key, uid=uid)
    except errors.NotFound as error:
        if ignore_not_found:
            return ""
        problems.tell(str(error))
        return None
    except (errors.Conflict, errors.Forbidden) as error:
        problems.tell(str(error))
        return None
    click.echo(f'{words.full(kind)} "{key.name}" deleted')
    return uid


async def _wait_gone(cluster: Cluster, going: Sequence[tuple[Target, str]], seconds: float) -> None:
    import asyncio

    shown = ""
    try:
        async with asyncio.timeout(seconds):
            for (kind, key), uid in going:
                shown = words.shown(kind, key.name)
                async with aclosing(watching.states(cluster, kind, key)) as states:
                    async for state in states:
                        if state is None or objects.uid(state) != uid:
                            break
    except TimeoutError as error:
        raise problems.Problem(f"{shown} is still there after {seconds:g} s") from error
